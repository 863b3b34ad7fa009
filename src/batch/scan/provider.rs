//! The scan as a table and a plan of DataFusion: a leaf with one partition a part.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchReceiverStreamBuilder;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};

use super::Scan;
use super::reader::read_part;

/// Batches that are read before somebody asks for them.
const READ_AHEAD: usize = 2;

/// The parts of a scan as a table.
#[derive(Debug)]
pub(in crate::batch) struct ScanTable(pub(in crate::batch) Arc<Scan>);

#[async_trait]
impl TableProvider for ScanTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(self.0.schema())
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        _: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(ScanExec::new(Arc::clone(&self.0), projection.cloned())?))
    }
}

/// Reads the parts of a scan; partition `i` is the part at place `i`.
#[derive(Debug)]
pub(in crate::batch) struct ScanExec {
    scan: Arc<Scan>,
    projection: Option<Vec<usize>>,
    properties: Arc<PlanProperties>,
}

impl ScanExec {
    /// A plan that gives these columns of the scan, or all.
    ///
    /// # Errors
    /// If the scan has no such column.
    pub(in crate::batch) fn new(scan: Arc<Scan>, projection: Option<Vec<usize>>) -> Result<Self> {
        let schema = match &projection {
            Some(columns) => Arc::new(scan.schema().project(columns)?),
            None => Arc::clone(scan.schema()),
        };
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(scan.parts.len()),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Ok(Self { scan, projection, properties: Arc::new(properties) })
    }
}

#[cfg(feature = "cluster")]
impl ScanExec {
    /// What is read.
    pub(in crate::batch) fn scan(&self) -> &Scan {
        &self.scan
    }

    /// Which of its columns; none for all.
    pub(in crate::batch) fn columns(&self) -> Option<&[usize]> {
        self.projection.as_deref()
    }
}

impl DisplayAs for ScanExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ScanExec: {} parts of {} tables", self.scan.parts.len(), self.scan.tables.len())
    }
}

impl ExecutionPlan for ScanExec {
    fn name(&self) -> &'static str {
        "ScanExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if children.is_empty() { Ok(self) } else { internal_err!("a scan has no children") }
    }

    fn execute(&self, partition: usize, _: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let mut stream = RecordBatchReceiverStreamBuilder::new(self.schema(), READ_AHEAD);
        let (scan, projection, sender) = (Arc::clone(&self.scan), self.projection.clone(), stream.tx());
        stream.spawn_blocking(move || {
            let Some(part) = scan.parts.get(partition) else {
                return internal_err!("there is no part {partition}");
            };
            #[cfg(feature = "cluster")]
            if let Some(check) = &scan.check {
                (check.0)(&scan)?;
            }
            let give = |batch: datafusion::arrow::record_batch::RecordBatch| {
                let batch = match &projection {
                    Some(columns) => batch.project(columns).map_err(DataFusionError::from),
                    None => Ok(batch),
                };
                sender.blocking_send(batch).is_ok()
            };
            read_part(&scan, part, give).map_err(|error| DataFusionError::External(error.into()))
        });
        Ok(stream.build())
    }
}
