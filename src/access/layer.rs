//! The door: a tower layer in front of all services. Who may enter is left to [`Access`].

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::SystemTime;

use http::header::AUTHORIZATION;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::Access;
use super::limit::Permit;

/// Lets in the calls that may be: those with a key that is good for them. Their extensions tell the
/// [`KeyId`](super::KeyId); the key itself goes no further.
#[derive(Debug, Clone)]
pub struct AccessLayer {
    access: Option<Arc<Access>>,
}

impl AccessLayer {
    /// A door that asks `access`; without one it is open.
    pub fn new(access: Option<Arc<Access>>) -> Self {
        Self { access }
    }
}

impl<S> Layer<S> for AccessLayer {
    type Service = AccessService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        AccessService { access: self.access.clone(), inner }
    }
}

/// A service behind the door.
#[derive(Debug, Clone)]
pub struct AccessService<S> {
    access: Option<Arc<Access>>,
    inner: S,
}

impl<S, I, O> Service<Request<I>> for AccessService<S>
where
    S: Service<Request<I>, Response = Response<O>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    O: Default + Send + 'static,
{
    type Response = Response<PermitBody<O>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<I>) -> Self::Future {
        let admitted = match &self.access {
            Some(access) => access.admit(&request, SystemTime::now()),
            None => Ok(None),
        };
        let admitted = match admitted {
            Ok(admitted) => admitted,
            Err(denial) => {
                let refused = denial.status().into_http::<O>().map(|body| PermitBody { body, _permit: None });
                return Box::pin(std::future::ready(Ok(refused)));
            }
        };
        request.headers_mut().remove(AUTHORIZATION);
        let permit = admitted.map(|admitted| {
            request.extensions_mut().insert(admitted.id);
            admitted.permit
        });
        let response = self.inner.call(request);
        // If the call is cancelled before there is an answer, the permit ends with this future.
        Box::pin(async move { Ok(response.await?.map(|body| PermitBody { body, _permit: permit })) })
    }
}

pin_project! {
    /// An answer that counts as in flight until it has been sent, or nobody waits for it any more.
    #[derive(Debug)]
    pub struct PermitBody<B> {
        #[pin]
        body: B,
        _permit: Option<Permit>,
    }
}

impl<B: Body> Body for PermitBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        self.project().body.poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
