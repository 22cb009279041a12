//! The macro that defines a service.

/// Defines a service: a module with the trait `Service`, the `Client`, and `add_service`.
///
/// The types of arguments and replies are named as seen from within that module. Each method is an `async
/// fn` of the trait; a client's method sends at once and gives a future.
#[doc(hidden)]
#[macro_export]
macro_rules! __labrpc_service {
    (
        $(#[$doc:meta])*
        service $service:ident {
            $(
                $(#[$method_doc:meta])*
                rpc $method:ident($args:ty) returns ($reply:ty);
            )*
        }
    ) => {
        $(#[$doc])*
        #[allow(dead_code, unreachable_pub, reason = "how far it is seen is its user's to decide")]
        pub mod $service {
            /// What a server has to implement.
            pub trait Service: Send + Sync + 'static {
                $(
                    $(#[$method_doc])*
                    #[doc = concat!("\n\nThe method `", stringify!($method), "`.")]
                    fn $method(
                        &self,
                        args: $args,
                    ) -> impl ::std::future::Future<
                        Output = $crate::dss::labrpc::Result<$reply>,
                    > + Send;
                )*
            }

            /// One end of the service.
            #[derive(Clone, Debug)]
            pub struct Client($crate::dss::labrpc::Client);

            impl Client {
                /// The service at the other end of a client.
                #[must_use]
                pub const fn new(client: $crate::dss::labrpc::Client) -> Self {
                    Self(client)
                }

                /// The client.
                #[must_use]
                pub const fn client(&self) -> &$crate::dss::labrpc::Client {
                    &self.0
                }

                /// Runs a task on the network's runtime. It must not block.
                pub fn spawn(
                    &self,
                    task: impl ::std::future::Future<Output = ()> + Send + 'static,
                ) {
                    self.0.spawn(task);
                }

                $(
                    $(#[$method_doc])*
                    #[doc = concat!("\n\nCalls `", stringify!($method), "`: sent at once.")]
                    pub fn $method(
                        &self,
                        args: &$args,
                    ) -> impl ::std::future::Future<
                        Output = $crate::dss::labrpc::Result<$reply>,
                    > + Send + 'static + use<> {
                        const NAME: &str =
                            concat!(stringify!($service), ".", stringify!($method));
                        self.0.call::<$args, $reply>(NAME, args)
                    }
                )*
            }

            /// Makes a server offer the service.
            ///
            /// # Errors
            ///
            /// If it offers one of this name already.
            pub fn add_service<S: Service>(
                service: S,
                builder: &mut $crate::dss::labrpc::ServerBuilder,
            ) -> $crate::dss::labrpc::Result<()> {
                let service = ::std::sync::Arc::new(service);
                let call: $crate::dss::labrpc::Call =
                    ::std::sync::Arc::new(move |method: &str, args: Vec<u8>| {
                        let service = ::std::sync::Arc::clone(&service);
                        match method {
                            $(
                                stringify!($method) => Box::pin(async move {
                                    let args: $args = $crate::dss::labcodec::decode(&args)?;
                                    let reply: $reply = Service::$method(&*service, args).await?;
                                    let mut bytes = Vec::new();
                                    $crate::dss::labcodec::encode(&reply, &mut bytes)?;
                                    Ok(bytes)
                                }),
                            )*
                            unknown => {
                                drop((service, args));
                                let name = format!(
                                    concat!(stringify!($service), ".{}"),
                                    unknown,
                                );
                                Box::pin(async move {
                                    Err($crate::dss::labrpc::Error::Unimplemented(name))
                                })
                            }
                        }
                    });
                builder.add_service(stringify!($service), call)
            }
        }
    };
}
