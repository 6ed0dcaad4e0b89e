//! The system's resolver.

use std::io;
use std::net::SocketAddr;

/// The addresses of a host, in the resolver's order. It waits in a thread of its own.
///
/// # Errors
/// There is no such host, or no resolver answers.
pub async fn addresses(name: Box<str>, port: u16) -> io::Result<Vec<SocketAddr>> {
    smol::net::resolve((&*name, port)).await
}
