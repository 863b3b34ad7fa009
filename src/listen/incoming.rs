//! Accepts connections, and lets each greet in a task of its own.

use std::convert::Infallible;
use std::fmt;
use std::io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::stream::{self, Stream};
use rustls::ServerConfig;
use tokio::net::unix::UCred;
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::sleep;

use super::connection::{Connection, Transport};
use super::greeting::{Refusal, greet};
use super::peer::{Origin, Peer};
use super::throttle::Throttle;
use super::{Limits, Listener};

/// How long each connection may take to greet, even if there are as many as there may be.
const CROWDED_TIMEOUT: Duration = Duration::from_secs(1);
/// How long to wait after the system has refused to accept a connection: until a descriptor may be free again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// The connections of a [`Listener`]. The stream never ends and never fails.
pub struct Incoming(Pin<Box<dyn Stream<Item = Result<Connection, Infallible>> + Send>>);

impl Incoming {
    pub(super) fn new(listener: Listener, limits: Limits) -> Self {
        let acceptor = Acceptor {
            places: Arc::new(Semaphore::new(limits.max_connections.clamp(1, Semaphore::MAX_PERMITS))),
            greetings: JoinSet::new(),
            crowded: watch::Sender::new(false),
            throttle: Throttle::default(),
            listener,
            limits,
        };
        Self(Box::pin(stream::unfold(acceptor, |mut acceptor| async {
            Some((Ok(acceptor.next().await), acceptor))
        })))
    }
}

impl Stream for Incoming {
    type Item = Result<Connection, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(context)
    }
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming").finish_non_exhaustive()
    }
}

struct Acceptor {
    listener: Listener,
    limits: Limits,
    /// One for each connection that there may be.
    places: Arc<Semaphore>,
    greetings: JoinSet<Result<Connection, (Origin, Refusal)>>,
    /// Whether as many greet as may.
    crowded: watch::Sender<bool>,
    throttle: Throttle,
}

impl Acceptor {
    /// The next connection that has greeted. What goes wrong is logged.
    async fn next(&mut self) -> Connection {
        loop {
            let crowded = self.greetings.len() >= self.limits.max_greetings.max(1);
            self.crowded.send_if_modified(|before| std::mem::replace(before, crowded) != crowded);
            // Both may be dropped halfway: nothing is lost.
            tokio::select! {
                Some(greeting) = self.greetings.join_next() => {
                    if let Some(connection) = self.greeted(greeting) {
                        return connection;
                    }
                }
                (socket, place) = accept(&self.listener, &self.places, &mut self.throttle), if !crowded => {
                    self.let_greet(socket, place);
                }
            }
        }
    }

    fn let_greet(&mut self, socket: Socket, place: OwnedSemaphorePermit) {
        let limit = timeout(self.limits.greeting_timeout, self.crowded.subscribe());
        let Socket { transport, origin, tls } = socket;
        self.greetings.spawn(async move {
            let greeting = tokio::select! {
                greeting = greet(transport, tls) => greeting,
                refusal = limit => Err(refusal),
            };
            let (transport, identity) = greeting.map_err(|refusal| (origin, refusal))?;
            let peer = Peer { origin, identity: identity.map(Arc::new) };
            Ok(Connection::new(transport, peer, place))
        });
    }

    fn greeted(
        &mut self,
        greeting: Result<Result<Connection, (Origin, Refusal)>, JoinError>,
    ) -> Option<Connection> {
        match greeting {
            Ok(Ok(connection)) => return Some(connection),
            Ok(Err((origin, Refusal::Gone))) => {
                tracing::debug!(%origin, "a connection went away before it had greeted");
            }
            Ok(Err((origin, refusal))) => {
                if let Some(hidden) = self.throttle.admit(Instant::now()) {
                    tracing::warn!(%origin, problem = %refusal, more_before = hidden, "a connection was refused");
                }
            }
            Err(error) => tracing::error!(%error, "a greeting failed"),
        }
        None
    }
}

/// Ends when a connection has had the time to greet that it may have, and says so.
async fn timeout(limit: Duration, mut crowded: watch::Receiver<bool>) -> Refusal {
    let pushed_out = async {
        sleep(CROWDED_TIMEOUT).await;
        if crowded.wait_for(|crowded| *crowded).await.is_err() {
            // Nobody accepts any more.
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        () = sleep(limit) => Refusal::Slow,
        () = pushed_out => Refusal::Crowded,
    }
}

/// A connection that has been accepted, and has not greeted.
struct Socket {
    transport: Box<dyn Transport>,
    origin: Origin,
    /// With the certificates of the moment: a reload does not change what has begun.
    tls: Option<Arc<ServerConfig>>,
}

impl Socket {
    fn tcp((stream, address): (TcpStream, SocketAddr), tls: Option<Arc<ServerConfig>>) -> Self {
        // It only makes answers quicker.
        let _ = stream.set_nodelay(true);
        Self { transport: Box::new(stream), origin: Origin::Tcp(address), tls }
    }

    fn unix(stream: UnixStream) -> Self {
        let process = stream.peer_cred().ok();
        let uid = process.as_ref().map(UCred::uid);
        let origin = Origin::Unix { uid, pid: process.as_ref().and_then(UCred::pid) };
        Self { transport: Box::new(stream), origin, tls: None }
    }
}

/// Waits for a place, then for a connection to take it. What the system refuses is tried again.
async fn accept(
    listener: &Listener,
    places: &Arc<Semaphore>,
    throttle: &mut Throttle,
) -> (Socket, OwnedSemaphorePermit) {
    let place = Arc::clone(places).acquire_owned().await.expect("nobody closes the semaphore");
    loop {
        let accepted = match listener {
            Listener::Tcp(listener) => listener.accept().await.map(|accepted| Socket::tcp(accepted, None)),
            Listener::Tls(listener, certificates) => {
                let accepted = listener.accept().await;
                accepted.map(|accepted| Socket::tcp(accepted, Some(certificates.config())))
            }
            Listener::Unix(socket) => socket.accept().await.map(Socket::unix),
        };
        match accepted {
            Ok(socket) => return (socket, place),
            // The client has gone while it waited.
            Err(error) if matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted) => {}
            Err(error) => {
                if let Some(hidden) = throttle.admit(Instant::now()) {
                    tracing::error!(%error, more_before = hidden, "cannot accept a connection, trying again");
                }
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
