//! How a connection greets: the TLS handshake, and the first bytes of HTTP/2.

use std::io;
use std::sync::Arc;

use rustls::{InvalidMessage, ServerConfig};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio_rustls::TlsAcceptor;

use super::connection::{PREFACE, Transport};
use super::peer::Identity;

/// What the first byte of a TLS connection is: a record with a handshake (RFC 8446, 5.1).
const TLS_HANDSHAKE: u8 = 22;

/// Why a connection is closed before anything was asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("went away")]
    Gone,
    #[error("took too long to greet")]
    Slow,
    #[error("took more than a second to greet while many others did so too")]
    Crowded,
    #[error("did not start with TLS, which this port needs")]
    PlainText,
    #[error("speaks TLS, which this port does not")]
    UnexpectedTls,
    #[error("does not speak HTTP/2")]
    NotHttp2,
    #[error("TLS failed: {0}")]
    Tls(io::Error),
    #[error("failed: {0}")]
    Socket(io::Error),
}

/// Lets a socket greet. Takes as long as it takes: the caller sets the limit.
pub(super) async fn greet(
    mut socket: Box<dyn Transport>,
    tls: Option<Arc<ServerConfig>>,
) -> Result<(Box<dyn Transport>, Option<Identity>), Refusal> {
    let Some(config) = tls else {
        read_preface(&mut socket).await?;
        return Ok((socket, None));
    };
    let mut stream = TlsAcceptor::from(config).accept(socket).await.map_err(tls_refusal)?;
    read_preface(&mut stream).await?;
    let certificates = stream.get_ref().1.peer_certificates();
    let identity = certificates.and_then(<[_]>::first).map(Identity::of);
    Ok((Box::new(stream), identity))
}

fn tls_refusal(error: io::Error) -> Refusal {
    match error.get_ref().and_then(|error| error.downcast_ref()) {
        Some(rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType)) => Refusal::PlainText,
        Some(_) => Refusal::Tls(error),
        None => socket_refusal(error),
    }
}

/// Clients that go away are nothing to tell of: whoever checks that a port is open does so.
fn socket_refusal(error: io::Error) -> Refusal {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    if [BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof].contains(&error.kind()) {
        return Refusal::Gone;
    }
    // The client may have refused our certificate: it says so when the handshake seems to be done.
    let is_tls = error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<rustls::Error>);
    if is_tls { Refusal::Tls(error) } else { Refusal::Socket(error) }
}

/// Reads what each client of HTTP/2 sends first, and nothing more.
async fn read_preface(transport: &mut (impl AsyncRead + Unpin)) -> Result<(), Refusal> {
    let mut preface = [0; PREFACE.len()];
    let mut length = 0;
    while length < PREFACE.len() {
        match transport.read(&mut preface[length..]).await.map_err(socket_refusal)? {
            0 => return Err(Refusal::Gone),
            read => length += read,
        }
        if !PREFACE.starts_with(&preface[..length]) {
            let is_tls = preface[0] == TLS_HANDSHAKE;
            return Err(if is_tls { Refusal::UnexpectedTls } else { Refusal::NotHttp2 });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    /// What becomes of a client that sends `parts` and goes.
    async fn greeted(parts: &[&[u8]]) -> Result<(), String> {
        let (mut client, server) = tokio::io::duplex(8);
        let greeting = tokio::spawn(greet(Box::new(server), None));
        for part in parts {
            // It may have been closed already.
            let _ = client.write_all(part).await;
            tokio::task::yield_now().await;
        }
        drop(client);
        greeting.await.unwrap().map(|_| ()).map_err(|refusal| refusal.to_string())
    }

    #[tokio::test]
    async fn knows_http2_by_its_preface_however_it_is_cut() {
        assert_eq!(greeted(&[PREFACE]).await, Ok(()));
        assert_eq!(greeted(&[&PREFACE[..1], &PREFACE[1..20], &PREFACE[20..]]).await, Ok(()));
    }

    #[tokio::test]
    async fn says_what_else_a_client_speaks() {
        assert_eq!(greeted(&[b"GET / HTTP/1.1\r\n\r\n"]).await, Err("does not speak HTTP/2".into()));
        assert_eq!(greeted(&[b"P", b"OST /"]).await, Err("does not speak HTTP/2".into()));
        assert_eq!(greeted(&[&[22, 3, 1]]).await, Err("speaks TLS, which this port does not".into()));
        assert_eq!(greeted(&[]).await, Err("went away".into()));
        assert_eq!(greeted(&[&PREFACE[..23]]).await, Err("went away".into()));
    }
}
