//! Listens on an address.

use std::{io, net::SocketAddr};

use tokio::net::{TcpListener, TcpSocket};

use super::{CommandError, ErrorCode};

/// The connections that may wait to be accepted; Linux takes at most `net.core.somaxconn` of them.
/// When the queue is full, a sender's first packet is dropped and sent again a second later.
const BACKLOG: u32 = 1024;

/// Listens for a command; `flag` sets the address.
pub(super) fn bind(address: SocketAddr, flag: &str) -> Result<TcpListener, CommandError> {
    listen(address).map_err(|error| {
        ErrorCode::Listen.error(format!(
            "cannot listen on {address} ({error}): stop the program that uses it, or choose \
             another with --{flag}"
        ))
    })
}

/// Listens as [`TcpListener::bind`] does, with a longer queue.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

#[cfg(all(test, target_os = "linux"))] // other systems allow a queue of 128
mod tests {
    use super::bind;

    #[tokio::test]
    async fn connections_that_are_not_accepted_yet_wait_in_a_long_queue() {
        let listener = bind("127.0.0.1:0".parse().unwrap(), "listen").unwrap();
        let address = listener.local_addr().unwrap();
        let mut waiting = Vec::new();
        for nth in 0..400 {
            let connect = tokio::net::TcpStream::connect(address);
            let connected = tokio::time::timeout(std::time::Duration::from_millis(500), connect);
            match connected.await {
                Ok(stream) => waiting.push(stream.unwrap()),
                Err(_) => panic!("connection {nth} was not taken into the queue"),
            }
        }
    }
}
