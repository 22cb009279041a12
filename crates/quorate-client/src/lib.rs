//! A client for Quorate and etcd: finds the endpoint that answers.
