//! Consensus for people who build things: implement one trait, get a durable, replicated, linearizable service.
