//! One type of connection, whatever it runs over.

use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;
use tonic::transport::server::Connected;

use super::peer::Peer;

/// What a client of HTTP/2 sends first (RFC 9113, 3.4).
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What bytes go through: TCP, TLS or a Unix socket.
pub(super) trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Transport for T {}

/// A connection that has greeted.
pub struct Connection {
    transport: Box<dyn Transport>,
    /// What is left of the preface, which has been read already.
    unread: &'static [u8],
    peer: Peer,
    /// Its place among the connections that there may be.
    _place: OwnedSemaphorePermit,
}

impl Connection {
    /// A connection whose preface has been read.
    pub(super) fn new(transport: Box<dyn Transport>, peer: Peer, place: OwnedSemaphorePermit) -> Self {
        Self { transport, unread: PREFACE, peer, _place: place }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("peer", &self.peer).finish_non_exhaustive()
    }
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.unread.is_empty() {
            return Pin::new(&mut self.transport).poll_read(context, buffer);
        }
        let (now, later) = self.unread.split_at(self.unread.len().min(buffer.remaining()));
        buffer.put_slice(now);
        self.unread = later;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.transport).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.transport).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.transport).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.transport).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.transport.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::Semaphore;

    use super::*;
    use crate::listen::Origin;

    #[tokio::test]
    async fn gives_the_preface_again_and_then_what_follows() {
        let (mut client, server) = tokio::io::duplex(64);
        let place = Arc::new(Semaphore::new(1)).acquire_owned().await.unwrap();
        let peer = Peer { origin: Origin::Unix { uid: None, pid: None }, identity: None };
        let mut connection = Connection::new(Box::new(server), peer, place);
        client.write_all(b"settings").await.unwrap();
        let mut read = vec![0; 10];
        connection.read_exact(&mut read).await.unwrap();
        assert_eq!(read, PREFACE[..10], "a small buffer gets a part");
        let mut read = vec![0; PREFACE.len() - 10 + 8];
        connection.read_exact(&mut read).await.unwrap();
        assert_eq!(read, [&PREFACE[10..], b"settings"].concat());
    }
}
