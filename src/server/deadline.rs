//! When a caller stops waiting, from the header `grpc-timeout`.

use std::time::{Duration, Instant};

use tonic::metadata::MetadataMap;
use tonic::{Request, Status};

/// The moment after which a call's answer is of no use, stamped on it when its headers arrive.
#[derive(Debug, Clone, Copy)]
struct Deadline(Instant);

/// Stamps a call with its deadline. An interceptor, since it runs before the body has been received.
#[expect(clippy::unnecessary_wraps, reason = "an interceptor may refuse, this one does not")]
pub(super) fn stamp(mut request: Request<()>) -> Result<Request<()>, Status> {
    if let Some(deadline) = timeout(request.metadata()).and_then(|left| Instant::now().checked_add(left)) {
        request.extensions_mut().insert(Deadline(deadline));
    }
    Ok(request)
}

/// The deadline that was stamped on a call.
pub(super) fn of<T>(request: &Request<T>) -> Option<Instant> {
    request.extensions().get().map(|Deadline(deadline)| *deadline)
}

/// Up to eight digits and a unit, a little shortened: tonic ends overdue calls itself, but as `CANCELLED`.
fn timeout(metadata: &MetadataMap) -> Option<Duration> {
    let timeout = metadata.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = timeout.split_at_checked(timeout.len().checked_sub(1)?)?;
    let value: u64 = digits.parse().ok()?;
    let timeout = match unit {
        "H" => Duration::from_secs(value.checked_mul(3600)?),
        "M" => Duration::from_secs(value.checked_mul(60)?),
        "S" => Duration::from_secs(value),
        "m" => Duration::from_millis(value),
        "u" => Duration::from_micros(value),
        "n" => Duration::from_nanos(value),
        _ => return None,
    };
    let margin = (timeout / 10).min(Duration::from_millis(50));
    Some(timeout.saturating_sub(margin))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_callers_timeout() {
        let read = |header: &str| {
            let mut metadata = MetadataMap::new();
            metadata.insert("grpc-timeout", header.parse().unwrap());
            timeout(&metadata)
        };
        assert_eq!(read("2S"), Some(Duration::from_millis(1950)));
        assert_eq!(read("100m"), Some(Duration::from_millis(90)));
        assert_eq!(read("1H"), Some(Duration::from_millis(3_600_000 - 50)));
        assert_eq!(read("soon"), None);
        assert_eq!(read("S"), None);
    }
}
