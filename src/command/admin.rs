//! `jiesu admin`: what operators ask of a running service.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::anyhow;
use prost_types::Timestamp;
use tonic::Status;
use tonic_types::StatusExt;

use crate::cli::admin::{AdminArgs, AdminTask};
use crate::client::{self, Connection};
use crate::pb::admin_service_client::AdminServiceClient;
use crate::pb::{ListModelsRequest, LoadedModel, ModelRole, ModelState, ReloadModelRequest, ReloadRequest};

pub(super) fn run(args: &AdminArgs) -> anyhow::Result<ExitCode> {
    let at = args.task.at();
    let connector = at.connector()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut client = AdminServiceClient::new(connector.connect().await?);
        let done = ask(&mut client, &args.task, &mut anstream::stdout().lock()).await;
        done.map_err(|problem| match problem {
            Problem::Service(status) => match connector.refusal(&status) {
                Some(refusal) => refusal.into(),
                None => anyhow!("`{}` says: {}", at.endpoint, told(&status)),
            },
            Problem::Output(error) => error.into(),
        })
    })?;
    Ok(ExitCode::SUCCESS)
}

enum Problem {
    Service(Status),
    Output(io::Error),
}

impl From<Status> for Problem {
    fn from(status: Status) -> Self {
        Self::Service(status)
    }
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

async fn ask(
    client: &mut AdminServiceClient<Connection>,
    task: &AdminTask,
    out: &mut impl Write,
) -> Result<(), Problem> {
    match task {
        AdminTask::Models { .. } => {
            let models = client.list_models(ListModelsRequest {}).await?.into_inner().models;
            write_models(out, &models)?;
        }
        AdminTask::Reload { .. } => {
            let now = client.reload(ReloadRequest {}).await?.into_inner();
            writeln!(out, "taxonomy    {}", now.taxonomy_version)?;
            writeln!(out, "directory   {}", now.directory_version)?;
            writeln!(out, "risk rules  {}", now.risk_rules_version)?;
        }
        AdminTask::ReloadModel { expect, .. } => {
            let request = ReloadModelRequest { expected_revision: expect.clone().unwrap_or_default() };
            let models = client.reload_model(request).await?.into_inner().models;
            write_models(out, &models)?;
        }
    }
    out.flush()?;
    Ok(())
}

fn write_models(out: &mut impl Write, models: &[LoadedModel]) -> io::Result<()> {
    for model in models {
        let role = if model.role() == ModelRole::Shadow { "shadow" } else { "active" };
        let state = match model.state() {
            ModelState::Works | ModelState::Unspecified => "works",
            ModelState::FilesMissing => "files missing: a restart would find none",
            ModelState::Failed => "failed: see the log",
            ModelState::Missing => "missing: see the log",
        };
        writeln!(out, "{role}  {}, {state}", model.source)?;
        if let Some(loaded) = &model.model {
            let since =
                model.since.map(|since| format!(", since {}", to_the_second(since))).unwrap_or_default();
            writeln!(out, "        {} revision {}{since}", loaded.name, loaded.revision)?;
        }
        if let Some(failed) = &model.failed_reload {
            let at = failed.at.map(to_the_second).unwrap_or_default();
            writeln!(out, "        the last reload failed, {at}: {}", failed.problem)?;
        }
        if let Some(comparison) = &model.comparison {
            writeln!(
                out,
                "        {} texts compared, {} answered otherwise; no time for {}, failed on {}",
                comparison.compared, comparison.different, comparison.dropped, comparison.failed
            )?;
        }
    }
    Ok(())
}

fn to_the_second(time: Timestamp) -> String {
    Timestamp { nanos: 0, ..time }.to_string()
}

/// What a service says, with each fault that it names.
fn told(status: &Status) -> String {
    let faults =
        status.get_details_precondition_failure().map(|details| details.violations).unwrap_or_default();
    let faults = faults.iter().filter(|fault| fault.r#type == "fault");
    let faults = faults.map(|fault| format!("{}: {}", fault.subject, fault.description));
    std::iter::once(client::told(status)).chain(faults).collect::<Vec<_>>().join("\n")
}
