//! Clusters of engines on the labs' networks: what they count, what they survive, what they leave.

mod budget;
mod cluster;
mod life;
mod safety;
