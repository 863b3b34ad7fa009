//! Errors as gRPC statuses with `google.rpc` details. The only place where one becomes the other.

use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::error::{Error, ErrorKind};
use crate::fault::FileError;
use crate::records::RecordsError;
use crate::request::{RequestError, Violation};

/// Most violations that a status names: clients take some kilobytes of headers.
const MAX_VIOLATIONS: usize = 16;
/// Longest message of a status and of a violation, in characters.
const MAX_MESSAGE_CHARS: usize = 300;
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

/// Turns the refusal of a city's files or of a model into a status that names the faults.
pub(super) fn from_reload(error: &Error) -> Status {
    tracing::error!(error = %error, "the reload failed; what was in use stays");
    let mut details = ErrorDetails::new();
    if let Error::File(FileError::Faults(faults)) = error {
        for fault in faults.faults.iter().take(MAX_VIOLATIONS) {
            let place = format!("{}:{}", faults.file, fault.line);
            details.add_precondition_failure_violation("fault", place, cut(&fault.message));
        }
        let message =
            format!("`{}` does not hold together; the service's log names every fault", faults.file);
        return Status::with_error_details(Code::FailedPrecondition, message, details);
    }
    details.add_precondition_failure_violation("files", "", cut(&error.to_string()));
    Status::with_error_details(Code::FailedPrecondition, cut(&error.to_string()), details)
}

/// The beginning of a message: what a call ends with travels in headers, and they are small.
pub(super) fn cut(message: &str) -> String {
    match message.char_indices().nth(MAX_MESSAGE_CHARS) {
        Some((end, _)) => format!("{}…", &message[..end]),
        None => message.to_owned(),
    }
}

/// Turns an error of the records into the status that its caller gets.
pub(super) fn from_records(error: &RecordsError) -> Status {
    match error {
        RecordsError::Invalid { violations } => {
            let violation = |violation: &crate::records::Violation| Violation {
                field: violation.field,
                problem: violation.problem.clone(),
            };
            invalid_argument(&RequestError { violations: violations.iter().map(violation).collect() })
        }
        RecordsError::Conflict(conflict) => Status::already_exists(conflict.to_string()),
        RecordsError::Busy { .. } => {
            let details = ErrorDetails::with_retry_info(Some(RETRY_DELAY));
            Status::with_error_details(Code::ResourceExhausted, error.to_string(), details)
        }
        RecordsError::DiskFull { .. } | RecordsError::Stopped => Status::unavailable(error.to_string()),
        RecordsError::Folder { .. }
        | RecordsError::Locked { .. }
        | RecordsError::Missing { .. }
        | RecordsError::Schema { .. }
        | RecordsError::Damaged { .. }
        | RecordsError::Sqlite { .. }
        | RecordsError::Export { .. } => {
            tracing::error!(error = %error, "the records failed");
            Status::internal("the records failed; the service's log says why")
        }
    }
}

/// `INVALID_ARGUMENT` that names every field at fault.
pub(super) fn invalid_argument(error: &RequestError) -> Status {
    let mut details = ErrorDetails::new();
    for Violation { field, problem } in error.violations.iter().take(MAX_VIOLATIONS) {
        details.add_bad_request_violation(*field, cut(problem));
    }
    Status::with_error_details(Code::InvalidArgument, cut(&error.to_string()), details)
}
