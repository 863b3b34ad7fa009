//! Questions in SQL: `classify(text, title, area)`, `read_file('x.csv')`, `classify_file('x.csv')`, and the Parquet files
//! of finished jobs by their names.

use std::path::Path;
use std::sync::Arc;

use datafusion::catalog::{TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::{Column, DFSchema, DataFusionError, Result, ScalarValue, plan_err};
use datafusion::dataframe::DataFrame;
use datafusion::execution::FunctionRegistry;
use datafusion::execution::context::SessionContext;
use datafusion::functions::core::expr_fn::{coalesce, get_field};
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawFieldAccessExpr};
use datafusion::logical_expr::{Expr, GetFieldAccess, ScalarUDF};
use datafusion::prelude::SessionConfig;

use super::classify;
use super::input::{Inputs, NamedColumns, find, is_remote};
use super::scan::{AREA, BROKEN, INPUT_FILE, INPUT_LINE, REQUEST_ID, Scan, ScanTable, TEXT, TITLE};

/// The column of the answers before it is taken apart.
const ANSWER: &str = "jiesu:answer";

/// A session in which files can be read and classified.
///
/// # Errors
/// If DataFusion does not take a function.
pub fn session(function: ScalarUDF) -> Result<SessionContext> {
    // Rows stay in the order of their file, and one batch at a time has all threads.
    let config = SessionConfig::new().with_round_robin_repartition(false);
    let mut session = SessionContext::new_with_config(config).enable_url_table();
    session.register_expr_planner(Arc::new(Fields))?;
    let function = Arc::new(function);
    session.register_udf(function.as_ref().clone());
    session.register_udtf("read_file", Arc::new(FileFunction { function: None }));
    session.register_udtf("classify_file", Arc::new(FileFunction { function: Some(function) }));
    Ok(session)
}

/// `answer['lead']`: a field of a struct.
#[derive(Debug)]
struct Fields;

impl ExprPlanner for Fields {
    fn plan_field_access(
        &self,
        access: RawFieldAccessExpr,
        _: &DFSchema,
    ) -> Result<PlannerResult<RawFieldAccessExpr>> {
        let RawFieldAccessExpr { field_access, expr } = access;
        Ok(match field_access {
            GetFieldAccess::NamedStructField { name } => {
                PlannerResult::Planned(get_field(expr, name.to_string()))
            }
            other @ (GetFieldAccess::ListIndex { .. } | GetFieldAccess::ListRange { .. }) => {
                PlannerResult::Original(RawFieldAccessExpr { field_access: other, expr })
            }
        })
    }
}

/// A table function of files: `read_file`, or `classify_file`, which adds the answers.
#[derive(Debug)]
struct FileFunction {
    function: Option<Arc<ScalarUDF>>,
}

impl TableFunctionImpl for FileFunction {
    fn call_with_args(&self, args: TableFunctionArgs) -> Result<Arc<dyn TableProvider>> {
        let words = |arg: &Expr| {
            if let Expr::Literal(ScalarValue::Utf8(Some(words)), _) = arg {
                Ok(words.clone())
            } else {
                plan_err!("`{arg}` is no text in single quotes")
            }
        };
        let words = args.exprs().iter().map(words).collect::<Result<Vec<_>>>()?;
        let (file, text) = match words.as_slice() {
            [file] => (file, None),
            [file, text] => (file, Some(text.clone())),
            _ => {
                return plan_err!(
                    "a file is wanted, and perhaps the column of its words: ('x.csv') or ('x.csv', '备注')"
                );
            }
        };
        let named = NamedColumns { text, ..NamedColumns::default() };
        if is_remote(file) {
            return plan_err!(
                "`{file}` is in an object store; read it with `jiesu batch`, and ask its output"
            );
        }
        let tables = find(std::slice::from_ref(file), Path::new(""), |_| false)
            .and_then(|files| Inputs::survey(&files, &named, |_| {}))
            .map_err(|error| DataFusionError::External(error.into()))?
            .tables;
        // One part: of several, all would be read at once.
        let scan = Arc::new(Scan::new(tables, u64::MAX, None));
        Ok(self.view(&scan)?.into_view())
    }
}

impl FileFunction {
    /// The carried columns, where each row stands, and the answers, if they are wanted.
    fn view(&self, scan: &Arc<Scan>) -> Result<DataFrame> {
        let column = |name: &str| Expr::Column(Column::new_unqualified(name));
        let rows = SessionContext::new().read_table(Arc::new(ScanTable(Arc::clone(scan))))?;
        let carried = scan.carried().iter().map(|field| field.name().as_str());
        let known: Vec<Expr> = carried.chain([REQUEST_ID, INPUT_FILE, INPUT_LINE]).map(column).collect();
        let Some(function) = &self.function else {
            return rows.select(known.into_iter().chain([column(BROKEN).alias(classify::PROBLEM)]));
        };
        let answer = function.call([TEXT, TITLE, AREA].map(column).to_vec()).alias(ANSWER);
        let rows = rows.select(known.iter().cloned().chain([column(BROKEN), answer]))?;
        let of_answer = |name: &str| get_field(column(ANSWER), name).alias(name);
        let answers = classify::fields();
        let answers = answers.iter().map(|field| match field.name().as_str() {
            classify::PROBLEM => {
                let problem = get_field(column(ANSWER), classify::PROBLEM);
                coalesce(vec![column(BROKEN), problem]).alias(classify::PROBLEM)
            }
            name => of_answer(name),
        });
        rows.select(known.into_iter().chain(answers))
    }
}
