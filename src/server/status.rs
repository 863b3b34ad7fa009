//! Errors as gRPC statuses with `google.rpc` details. The only place where one becomes the other.

use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::error::{Error, ErrorKind};
use crate::fault::FileError;
use crate::records::RecordsError;
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

/// Turns the refusal of a city's files into a status that names every fault.
pub(super) fn from_reload(error: &Error) -> Status {
    tracing::error!(error = %error, "the city's files are not used; those before stay");
    let mut details = ErrorDetails::new();
    if let Error::File(FileError::Faults(faults)) = error {
        for fault in &faults.faults {
            let place = format!("{}:{}", faults.file, fault.line);
            details.add_precondition_failure_violation("fault", place, &fault.message);
        }
    } else {
        details.add_precondition_failure_violation("files", "", error.to_string());
    }
    Status::with_error_details(Code::FailedPrecondition, error.to_string(), details)
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
    for Violation { field, problem } in &error.violations {
        details.add_bad_request_violation(*field, problem);
    }
    Status::with_error_details(Code::InvalidArgument, error.to_string(), details)
}
