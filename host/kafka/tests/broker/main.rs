//! The adapters against a real broker, whose address is in `MILLSTREAM_TEST_BROKERS`.

mod cluster;
mod membership;
mod topics;
mod transactions;
