//! Runs a job in this process: reading, answering and writing overlap.

use std::sync::Arc;

use datafusion::common::DataFusionError;
use datafusion::execution::context::SessionContext;
use datafusion::logical_expr::ScalarUDF;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use datafusion::prelude::SessionConfig;
use futures_util::StreamExt;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_blocking};

use super::job::{BatchError, FinishedPart, OpenJob};
use super::scan::{Scan, ScanTable};
use super::separate::Layout;

/// Batches that wait to be written.
const WRITE_BEHIND: usize = 2;

/// Answers the parts of a job that are missing. `seen` is told of rows that were answered.
///
/// # Errors
/// At the first part that cannot be read, answered or written; those before it are kept.
pub async fn run(
    job: &mut OpenJob,
    function: &ScalarUDF,
    mut seen: impl FnMut(u64),
) -> Result<(), BatchError> {
    let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(1));
    let plan = plan(&context, &job.scan, function).await?;
    // While the next part is answered, the one before is brought to the disk.
    let mut before: Option<JoinHandle<Result<FinishedPart, BatchError>>> = None;
    for part in job.missing() {
        let mut answers = plan.execute(part as usize, context.task_ctx())?;
        let mut work = job.begin(part)?;
        let (sender, mut receiver) = mpsc::channel(WRITE_BEHIND);
        let writer = spawn_blocking(move || {
            while let Some(batch) = receiver.blocking_recv() {
                work.write(&batch)?;
            }
            work.finish()
        });
        while let Some(batch) = answers.next().await {
            let batch = batch?;
            let rows = batch.num_rows() as u64;
            if sender.send(batch).await.is_err() {
                break;
            }
            seen(rows);
        }
        drop(sender);
        if let Some(before) = before.replace(writer) {
            job.keep(joined(before).await?)?;
        }
    }
    if let Some(last) = before {
        job.keep(joined(last).await?)?;
    }
    Ok(())
}

async fn joined(writer: JoinHandle<Result<FinishedPart, BatchError>>) -> Result<FinishedPart, BatchError> {
    writer.await.map_err(|error| DataFusionError::External(error.into()))?
}

/// The plan of a job, one partition a part.
pub(super) async fn plan(
    context: &SessionContext,
    scan: &Arc<Scan>,
    function: &ScalarUDF,
) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
    let rows = context.read_table(Arc::new(ScanTable(Arc::clone(scan))))?;
    let plan = rows.select(Layout::projection(scan, function))?.create_physical_plan().await?;
    let (partitions, parts) = (plan.output_partitioning().partition_count(), scan.parts.len());
    if partitions == parts {
        Ok(plan)
    } else {
        Err(DataFusionError::Internal(format!("the plan has {partitions} partitions for {parts} parts")))
    }
}
