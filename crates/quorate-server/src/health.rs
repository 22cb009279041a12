//! `grpc.health.v1.Health`: whether this member serves.
//!
//! It serves while it belongs to a cluster, runs, and knows a leader. Each etcd service is known by
//! its name and shares the server's health.

use std::time::Duration;

use quorate_proto::health::health_check_response::ServingStatus;
use quorate_proto::health::health_server::Health;
use quorate_proto::health::{HealthCheckRequest, HealthCheckResponse};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use crate::backend::{Backend, Shared};
use crate::route::SERVICES;

/// How often a watched health is looked at.
const INTERVAL: Duration = Duration::from_millis(500);

/// The service.
#[derive(Debug)]
pub(crate) struct HealthService<B> {
    context: Shared<B>,
}

impl<B: Backend> HealthService<B> {
    pub(crate) const fn new(context: Shared<B>) -> Self {
        Self { context }
    }
}

/// The health of the whole server.
fn health<B: Backend>(context: &Shared<B>) -> ServingStatus {
    let backend = &context.backend;
    if backend.refusal().is_none() && backend.standing().leader.is_some() {
        ServingStatus::Serving
    } else {
        ServingStatus::NotServing
    }
}

fn is_known(service: &str) -> bool {
    service.is_empty() || SERVICES.contains(&service)
}

fn reply(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}

#[tonic::async_trait]
impl<B: Backend> Health for HealthService<B> {
    type WatchStream = ReceiverStream<Result<HealthCheckResponse, Status>>;

    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        if is_known(&request.get_ref().service) {
            Ok(Response::new(reply(health(&self.context))))
        } else {
            Err(Status::not_found("unknown service"))
        }
    }

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let (sender, receiver) = mpsc::channel(1);
        let is_known = is_known(&request.get_ref().service);
        let context = Shared::clone(&self.context);
        tokio::spawn(async move {
            let mut told = None;
            let mut ticks = tokio::time::interval(INTERVAL);
            loop {
                tokio::select! {
                    () = sender.closed() => return,
                    _ = ticks.tick() => {}
                }
                let status =
                    if is_known { health(&context) } else { ServingStatus::ServiceUnknown };
                if told != Some(status) {
                    if sender.send(Ok(reply(status))).await.is_err() {
                        return;
                    }
                    told = Some(status);
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}
