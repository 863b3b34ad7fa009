//! `jiesu health`: whether a service serves, as an exit code.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{anyhow, bail};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::cli::health::HealthArgs;
use crate::client::told;
use crate::message::explain;

pub(super) fn run(args: &HealthArgs) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (answer, code) = match runtime.block_on(ask(args)) {
        Ok(status) => {
            (status.as_str_name().to_owned(), ExitCode::from(u8::from(status != ServingStatus::Serving)))
        }
        // To container engines 2 is reserved.
        Err(error) => {
            anstream::eprintln!("error: {}", explain(error.as_ref()));
            return Ok(ExitCode::FAILURE);
        }
    };
    writeln!(anstream::stdout(), "{answer}")?;
    Ok(code)
}

async fn ask(args: &HealthArgs) -> anyhow::Result<ServingStatus> {
    let connector = args.at.connector()?;
    let asked = async {
        let mut client = HealthClient::new(connector.connect().await?);
        let answer = client.check(HealthCheckRequest { service: args.service.clone() }).await;
        answer.map_err(|status| anyhow!("`{}` does not tell its health: {}", args.at.endpoint, told(&status)))
    };
    let Ok(answer) = tokio::time::timeout(Duration::from_secs(args.timeout), asked).await else {
        bail!("`{}` did not answer within {} s", args.at.endpoint, args.timeout);
    };
    Ok(answer?.into_inner().status())
}
