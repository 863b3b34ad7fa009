//! Runs a job in this process: reading, answering and writing overlap.

use std::sync::Arc;

use datafusion::common::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::context::SessionContext;
use datafusion::logical_expr::ScalarUDF;
use datafusion::physical_plan::stream::RecordBatchReceiverStreamBuilder;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use datafusion::prelude::SessionConfig;
use futures_util::StreamExt;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_blocking};

use super::job::{BatchError, FinishedPart, OpenJob};
use super::scan::{Scan, ScanTable};
use super::separate::{Layout, rejected};

/// Batches that are answered before somebody asks for them.
const ANSWER_AHEAD: usize = 1;
/// Batches that wait to be written.
const WRITE_BEHIND: usize = 2;

/// Writes a part.
type Writer = JoinHandle<Result<FinishedPart, BatchError>>;

/// Answers the parts of a job that are missing. `seen` is told of rows that went through, and how many were rejected.
///
/// # Errors
/// At the first part that cannot be read, answered or written; those before it are kept.
pub async fn run(
    job: &mut OpenJob,
    function: &ScalarUDF,
    mut seen: impl FnMut(u64, u64),
) -> Result<(), BatchError> {
    let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(1));
    let plan = plan(&context, &job.scan, function).await?;
    let mut parts = job.missing().into_iter().map(|part| Ok((part, answers(&plan, part, &context)?)));
    // Before a part is answered to its end the next one is begun, and the one before is brought to the disk: what one thread
    // does at the edges of a batch does not keep the others waiting.
    let mut next: Option<Result<_, DataFusionError>> = parts.next();
    let mut before: Option<Writer> = None;
    while let Some(part) = next.take() {
        let mut begin_next = || next = next.take().or_else(|| parts.next());
        let written = match part {
            Ok((part, answers)) => {
                answer_part(job, part, answers, &mut before, &mut seen, &mut begin_next).await
            }
            Err(error) => Err(error.into()),
        };
        begin_next();
        // Whatever became of this part, the one before counts.
        if let Some(before) = before.take() {
            job.keep(joined(before).await?)?;
        }
        before = Some(written?);
    }
    if let Some(last) = before {
        job.keep(joined(last).await?)?;
    }
    Ok(())
}

/// The answers of a part, made in a task of their own: whoever waits for them can be interrupted.
fn answers(
    plan: &Arc<dyn ExecutionPlan>,
    part: u32,
    context: &SessionContext,
) -> Result<SendableRecordBatchStream, DataFusionError> {
    let mut answers = plan.execute(part as usize, context.task_ctx())?;
    let mut stream = RecordBatchReceiverStreamBuilder::new(answers.schema(), ANSWER_AHEAD);
    let sender = stream.tx();
    stream.spawn(async move {
        while let Some(batch) = answers.next().await {
            if sender.send(batch).await.is_err() {
                break;
            }
        }
        Ok(())
    });
    Ok(stream.build())
}

/// Hands the answers of a part to a writer of its own, and keeps the part before as soon as it is on the disk.
async fn answer_part(
    job: &mut OpenJob,
    part: u32,
    mut answers: SendableRecordBatchStream,
    before: &mut Option<Writer>,
    seen: &mut impl FnMut(u64, u64),
    begin_next: &mut impl FnMut(),
) -> Result<Writer, BatchError> {
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
        let (rows, rejected) = (batch.num_rows() as u64, rejected(&batch));
        if sender.send(batch).await.is_err() {
            let silent = || DataFusionError::Internal(format!("part {part} is not written")).into();
            return Err(joined(writer).await.err().unwrap_or_else(silent));
        }
        seen(rows, rejected);
        // By now a part of the usual size is read, and its reader free to go on with the next.
        begin_next();
        if let Some(done) = before.take_if(|before| before.is_finished()) {
            job.keep(joined(done).await?)?;
        }
    }
    Ok(writer)
}

async fn joined(writer: Writer) -> Result<FinishedPart, BatchError> {
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
