//! Errors as gRPC statuses with `google.rpc` details. The only place where one becomes the other.

use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::error::{Error, ErrorKind};
use crate::request::{RequestError, Violation};

/// When a caller that was refused for load should come back, at the earliest.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// Turns an error into the status that its caller gets; details of our own faults go to the log alone.
pub(super) fn from_error(error: &Error) -> Status {
    if let Error::Request(error) = error {
        return invalid_argument(error);
    }
    match error.kind() {
        ErrorKind::InvalidInput => Status::invalid_argument(error.to_string()),
        ErrorKind::Overloaded => {
            let wait = if let Error::TooManyBefore { wait } = error { *wait } else { Duration::ZERO };
            let details = ErrorDetails::with_retry_info(Some(RETRY_DELAY.max(wait)));
            Status::with_error_details(Code::ResourceExhausted, error.to_string(), details)
        }
        ErrorKind::Unavailable => Status::unavailable(error.to_string()),
        ErrorKind::DeadlineExceeded => Status::deadline_exceeded(error.to_string()),
        ErrorKind::Internal => {
            tracing::error!(error = %error, "a call failed");
            Status::internal("the service failed on this request; its log says why")
        }
    }
}

/// `INVALID_ARGUMENT` that names every field at fault.
pub(super) fn invalid_argument(error: &RequestError) -> Status {
    let mut details = ErrorDetails::new();
    for Violation { field, problem } in &error.violations {
        details.add_bad_request_violation(*field, problem);
    }
    Status::with_error_details(Code::InvalidArgument, error.to_string(), details)
}
