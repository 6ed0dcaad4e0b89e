//! The product's pure modules, compiled into the fuzz targets as they stand: bsbf is one binary without
//! a library, so that the compiler can name its dead code.

// Here everything is public, so nothing is dead.
#![allow(unfulfilled_lint_expectations)]

#[path = "../../src/proxy/clients.rs"]
pub mod clients;
#[path = "../../src/proxy/join.rs"]
pub mod join;
#[path = "../../src/modem/mod.rs"]
pub mod modem;
#[path = "../../src/config/options.rs"]
pub mod options;
#[path = "../../src/config/proxy.rs"]
pub mod proxy;
#[path = "../../src/types.rs"]
pub mod types;
#[path = "../../src/wan/mod.rs"]
pub mod wan;
#[path = "../../src/wire/mod.rs"]
pub mod wire;

pub use wire::uci::print;

/// The body of a request as the kernel would read it.
pub fn body(request: wire::nl::Request) -> Vec<u8> {
    let bytes = request.finish(1);
    let mut messages = wire::nl::Messages(&bytes);
    let body = match messages.next() {
        Some(Ok(message)) => message.body.to_vec(),
        other => panic!("a request of ours is no message: {other:?}"),
    };
    assert!(messages.next().is_none(), "a request of ours is more than one message");
    body
}
