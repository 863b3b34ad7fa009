//! Fetches what executors have answered, and makes sure that it is whole.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ballista_core::client::BallistaClient;
use ballista_core::extension::BallistaConfigGrpcEndpoint;
use ballista_core::serde::protobuf as pb;
use datafusion::arrow::array::{AsArray, RecordBatch};
use datafusion::arrow::datatypes::UInt32Type;
use futures_util::StreamExt;
use tokio::time::timeout;

use super::MAX_MESSAGE;
use crate::batch::scan::PART;

/// How long an executor may take to connect, or to send the next batch.
const FETCH_TIMEOUT: Duration = Duration::from_secs(30);

/// Fetches one partition from the executor that holds it.
pub(super) async fn fetch(location: pb::PartitionLocation) -> Result<Vec<RecordBatch>, String> {
    let layout = location.layout();
    let executor = location.executor_meta.ok_or("the result has no executor")?;
    let partition = location.partition_id.ok_or("the result has no partition")?;
    let (host, port) = (executor.host, u16::try_from(executor.port).map_err(|error| error.to_string())?);
    let host = in_url(host);
    let lost = |error: &dyn std::fmt::Display| format!("executor {host}:{port} lost the result: {error}");
    let unreached = |error: &dyn std::fmt::Display| {
        format!(
            "executor {host}:{port} cannot be reached: {error}; start it with an address that clients reach: `--listen ADDRESS:0`"
        )
    };
    let patience = BallistaConfigGrpcEndpoint::new(Arc::new(|endpoint| {
        Ok(endpoint.connect_timeout(Duration::from_secs(5)).tcp_nodelay(true))
    }));
    let mut client =
        BallistaClient::try_new(&host, port, MAX_MESSAGE, false, Some(Arc::new(patience)), 1, 0, 0, 0)
            .await
            .map_err(|error| unreached(&error))?;
    let partition = partition.into();
    let stream = client.fetch_partition(&executor.id, &partition, location.file_id, layout, true);
    let mut stream =
        timeout(FETCH_TIMEOUT, stream).await.map_err(|late| lost(&late))?.map_err(|error| lost(&error))?;
    let mut batches = Vec::new();
    while let Some(batch) = timeout(FETCH_TIMEOUT, stream.next()).await.map_err(|late| lost(&late))? {
        batches.push(batch.map_err(|error| lost(&error))?);
    }
    if let Some(stats) = location.partition_stats
        && let Ok(expected) = u64::try_from(stats.num_rows)
        && expected != rows(&batches)
    {
        return Err(lost(&format!("{} of {expected} rows came", rows(&batches))));
    }
    Ok(batches)
}

/// A host as it stands in a URL; IPv4 in the form of IPv6 is how a socket for both sees it.
fn in_url(host: String) -> String {
    match host.parse::<IpAddr>().map(|address| address.to_canonical()) {
        Ok(IpAddr::V6(address)) => format!("[{address}]"),
        Ok(IpAddr::V4(address)) => address.to_string(),
        Err(_) => host,
    }
}

/// Whether the rows are the part's own.
pub(super) fn check(part: u32, expected: u64, batches: &[RecordBatch]) -> Result<(), String> {
    for batch in batches {
        let column = batch.column_by_name(PART).and_then(|column| column.as_primitive_opt::<UInt32Type>());
        let Some(column) = column else {
            return Err(format!("the result has no column `{PART}` of numbers"));
        };
        if let Some(other) = column.iter().find(|&index| index != Some(part)) {
            return Err(format!("a row of part {other:?} came with part {part}"));
        }
    }
    if rows(batches) == expected { Ok(()) } else { Err(format!("{} of {expected} rows came", rows(batches))) }
}

pub(super) fn rows(batches: &[RecordBatch]) -> u64 {
    batches.iter().map(|batch| batch.num_rows() as u64).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_written_as_urls_have_it() {
        for (host, written) in [
            ("10.0.0.1", "10.0.0.1"),
            ("::ffff:10.0.0.1", "10.0.0.1"),
            ("::1", "[::1]"),
            ("a.example", "a.example"),
        ] {
            assert_eq!(in_url(host.to_owned()), written);
        }
    }
}
