//! What can be typed.

use clap::Args;
use std::path::PathBuf;

pub const EXAMPLES: &str = "Examples:
  statera serve                                     a store of its own in ./statera-store, on 127.0.0.1:8420
  statera serve --store /srv/statera --listen 0.0.0.0:8420 --settings server.toml
  statera serve --store postgres://statera@db/bank  several of them may share a database
  statera serve --print-settings > server.toml      every setting with a remark, to edit";

#[derive(Args)]
pub struct Serve {
    /// Where everything is kept: a folder, made if it does not exist, or postgres://…; ./statera-store if not given. Of a
    /// PostgreSQL database, bundles and key files lie in the folder that the settings name, or in ./statera-store
    #[arg(long, value_name = "DIR|URL")]
    pub store: Option<String>,
    /// Address and port; 127.0.0.1:8420 if not given, which only this machine reaches
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<String>,
    /// A file of settings, as --print-settings writes it; what a flag says goes before it
    #[arg(long, value_name = "FILE.toml")]
    pub settings: Option<PathBuf>,
    /// Print all settings as they are in force, with a remark on each, and nothing else
    #[arg(long)]
    pub print_settings: bool,
}
