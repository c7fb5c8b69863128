//! Runs a simulated provider until it is interrupted: `cargo run -p bailiwick-fake --example provider -- [ADDRESS]`.

use std::{env, error::Error};

use fake::{Config, Provider};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut config = Config::default();
    if let Some(listen) = env::args().nth(1) {
        config.listen = listen.parse()?;
    }
    let provider = Provider::start(config).await?;
    println!("{}", provider.url());
    tokio::signal::ctrl_c().await?;
    provider.shutdown().await;
    Ok(())
}
