//! How the plan travels: our scan and our function by our own codec, everything else by Ballista's.
//!
//! Only the physical plan travels, since the client plans. The function goes by its name and each process fills in its
//! own, so nothing is registered anywhere. An executor's codec knows the stamp of its model, and refuses a scan that
//! asks for another; the scheduler's and the client's let everything pass.

use std::io;
use std::sync::Arc;

use ballista_core::serde::BallistaPhysicalExtensionCodec;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::logical_expr::ScalarUDF;
use datafusion::physical_plan::ExecutionPlan;
use datafusion_proto::physical_plan::{PhysicalExtensionCodec, PhysicalProtoConverterExtension};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::refusal;
use crate::batch::scan::{Check, Readers, Scan, ScanExec};
use crate::batch::stamp::Stamp;
use crate::rows::ReadError;

/// What our nodes begin with. Ballista's begin with a protobuf field, which this cannot be.
const MARK: &[u8] = b"\xffjiesu-scan:";

/// Two versions of this program may read or answer a row otherwise.
const PROGRAM: &str = env!("CARGO_PKG_VERSION");

/// The executor that holds a codec.
#[derive(Debug, Clone)]
pub(super) struct Holder {
    /// The executor's address.
    pub(super) address: String,
    /// What it answers with.
    pub(super) stamp: Stamp,
}

/// Encodes and decodes plans.
#[derive(Debug)]
pub(super) struct Codec {
    function: Arc<ScalarUDF>,
    executor: Option<Holder>,
    readers: Arc<Readers>,
    ballista: BallistaPhysicalExtensionCodec,
}

impl Codec {
    /// For the client and the scheduler, which let everything pass.
    pub(super) fn lenient(function: Arc<ScalarUDF>) -> Self {
        Self::new(function, None)
    }

    /// For an executor.
    pub(super) fn strict(function: Arc<ScalarUDF>, executor: Holder) -> Self {
        Self::new(function, Some(executor))
    }

    fn new(function: Arc<ScalarUDF>, executor: Option<Holder>) -> Self {
        let ballista = BallistaPhysicalExtensionCodec::default();
        Self { function, executor, readers: Arc::default(), ballista }
    }

    fn decode_scan(&self, json: &[u8]) -> Result<Arc<dyn ExecutionPlan>> {
        let external = |error: serde_json::Error| DataFusionError::External(error.into());
        let wire: Wire<'_> = serde_json::from_slice(json).map_err(external)?;
        if wire.program != PROGRAM {
            let holder = self.executor.as_ref().map(|executor| format!("executor {}", executor.address));
            let holder = holder.as_deref().unwrap_or("the scheduler");
            let program = wire.program;
            return refuse(&format!(
                "{holder} is jiesu {PROGRAM}, but the job comes from jiesu {program}; use one version everywhere"
            ));
        }
        let scan: Scan = serde_json::from_str(wire.scan.get()).map_err(external)?;
        // The plan is decoded between two signs of life: a digest of a large file takes too long for that.
        let check = self.executor.clone().map(|executor| {
            let readers = Arc::clone(&self.readers);
            Check(Arc::new(move |scan: &Scan| executor.check_files(scan, &readers)))
        });
        if let Some(executor) = &self.executor {
            executor.check_stamp(&scan)?;
        }
        let scan = scan.with(Arc::clone(&self.readers), check);
        Ok(Arc::new(ScanExec::new(Arc::new(scan), wire.columns)?))
    }
}

impl Holder {
    /// Refuses work that this executor would answer otherwise than the client expects.
    fn check_stamp(&self, scan: &Scan) -> Result<()> {
        let Self { address, stamp } = self;
        if let Some(wanted) = scan.stamp.as_ref().filter(|wanted| *wanted != stamp) {
            return refuse(&format!(
                "executor {address} answers with {stamp}, but the job wants {wanted}; start it with the same --model and the same files of the city"
            ));
        }
        Ok(())
    }

    /// Refuses work on files that this executor has not, or has others of.
    fn check_files(&self, scan: &Scan, readers: &Readers) -> Result<()> {
        let address = &self.address;
        for table in &scan.tables {
            let file = table.file.display();
            match readers.has(table) {
                Ok(true) => {}
                Ok(false) => {
                    return refuse(&format!("executor {address} has another `{file}` than the client"));
                }
                Err(ReadError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                    return refuse(&format!(
                        "executor {address} has no `{file}`; the input must be where the client has it, on a file system that all share"
                    ));
                }
                // Another executor may be able to.
                Err(error) => {
                    return Err(DataFusionError::Execution(format!("executor {address}: {error}")));
                }
            }
        }
        Ok(())
    }
}

fn refuse<T>(message: &str) -> Result<T> {
    Err(DataFusionError::Execution(refusal::wrap(message)))
}

/// A scan on the wire. What it holds is read once the versions are known to agree.
#[derive(Debug, Deserialize)]
struct Wire<'a> {
    program: String,
    #[serde(borrow)]
    scan: &'a RawValue,
    columns: Option<Vec<usize>>,
}

/// The same, borrowed.
#[derive(Debug, Serialize)]
struct WireRef<'a> {
    program: &'static str,
    scan: &'a Scan,
    columns: Option<&'a [usize]>,
}

impl PhysicalExtensionCodec for Codec {
    fn try_decode(
        &self,
        bytes: &[u8],
        inputs: &[Arc<dyn ExecutionPlan>],
        context: &TaskContext,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match bytes.strip_prefix(MARK) {
            Some(json) => self.decode_scan(json),
            None => self.ballista.try_decode(bytes, inputs, context, converter),
        }
    }

    fn try_encode(
        &self,
        node: Arc<dyn ExecutionPlan>,
        bytes: &mut Vec<u8>,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<()> {
        let Some(node) = node.downcast_ref::<ScanExec>() else {
            return self.ballista.try_encode(node, bytes, converter);
        };
        let wire = WireRef { program: PROGRAM, scan: node.scan(), columns: node.columns() };
        bytes.extend_from_slice(MARK);
        serde_json::to_writer(bytes, &wire).map_err(|error| DataFusionError::External(error.into()))
    }

    fn try_decode_udf(&self, name: &str, _: &[u8]) -> Result<Arc<ScalarUDF>> {
        if name == self.function.name() {
            Ok(Arc::clone(&self.function))
        } else {
            Err(DataFusionError::Plan(format!("no function `{name}` here")))
        }
    }
}
