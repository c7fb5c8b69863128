//! The governance directory, read into what [`control`] loads.
//!
//! ```text
//! agents/*.yaml   rules/*.yaml                                            the tenant `default`
//! schemas/*.cedarschema   policies/*.cedar   entities/*.json              likewise
//! tests/*.yaml                                                            likewise
//! tenants/NAME/{agents,rules,schemas,policies,entities,tests}/            another tenant
//! ```
//!
//! Manifests of every kind may stand in `agents/` and in `rules/`: a budget beside the agents it is about, or apart.
//!
//! Nothing that looks as if it should count is passed over in silence: a misspelt directory or ending would drop an
//! agent, or a policy that forbids.

mod files;
mod rules;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use control::{AgentSpec, Governance, TenantGovernance};
use model::TenantName;
use policy::{AgentFacts, Bundle, Source, Sources};

use self::{
    files::{Directory, Files, Kind},
    rules::Declarations,
};
use super::{
    Settings,
    file::Missing,
    manifest,
    policy_test::{self, PolicyTest},
    problem::{self, Problem, Problems},
    suggest,
};

/// What one tenant's part of the directory may hold, and what the whole may hold besides.
const PARTS: [&str; 6] = ["agents", "rules", "schemas", "policies", "entities", "tests"];
const ROOT_PARTS: [&str; 7] = ["agents", "rules", "schemas", "policies", "entities", "tests", "tenants"];

/// The longest schema or policy file. Each stands whole in one audit entry.
const MAX_CARRIED_BYTES: u64 = 12 * 1024;
/// The same, as the entry writes it: with quotes and line breaks escaped, and room for the rest of the entry.
const MAX_CARRIED_JSON: usize = entry::MAX_ENTRY_BYTES - 1024;
/// The longest file of entities: some 300,000 of them.
const MAX_ENTITY_BYTES: u64 = 64 * 1024 * 1024;
/// The longest manifest.
pub(crate) const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// What the files declare, and what is legal in them but looks like a mistake.
#[derive(Debug)]
pub struct Loaded {
    /// Ready to be loaded.
    pub governance: Governance,
    /// What to tell the operator.
    pub warnings: Problems,
}

/// Everything the tenants declare.
#[derive(Debug)]
pub(crate) struct Tenants {
    pub(crate) tenants: BTreeMap<TenantName, TenantGovernance>,
    pub(crate) policies: BTreeMap<TenantName, TenantPolicies>,
    pub(crate) warnings: Problems,
}

/// A tenant's policies, compiled, and their tests.
#[derive(Debug)]
pub struct TenantPolicies {
    /// The policies with the entities and agents of the files.
    pub bundle: Bundle,
    /// The files that they were compiled from.
    pub sources: Sources,
    /// The tests, in the order of the files.
    pub tests: Vec<PolicyTest>,
    /// The governance directory, as a person would type it: what the bundle's files are relative to.
    pub root: PathBuf,
}

/// Where the policies are that a command is about.
#[derive(Clone, Copy, Debug)]
pub enum PolicyPlace<'a> {
    /// In the governance directory that this `bailiwick.toml` names.
    Settings(&'a Path),
    /// In this governance directory.
    Directory(&'a Path),
}

/// What governance is read with: the part of the settings that it depends on.
struct Around<'a> {
    root: &'a Path,
    /// Whether what agents spend while the log cannot be written can be recorded.
    spooling: bool,
    /// The upstreams; `None` where they are not known.
    upstreams: Option<Vec<&'a str>>,
}

impl<'a> Around<'a> {
    fn of(settings: &'a Settings) -> Self {
        let upstreams = settings.upstreams.iter();
        Self {
            root: &settings.governance_dir,
            spooling: settings.audit.spool.is_some(),
            upstreams: Some(upstreams.map(|upstream| upstream.name().as_str()).collect()),
        }
    }
}

/// Reads the governance directory, compiles its policies and fetches the upstreams' credentials.
///
/// # Errors
/// All that is wrong with all files, and every credential that is not there.
pub fn load_governance(settings: &Settings, env: &dyn Fn(&str) -> Option<String>) -> Result<Loaded, Problems> {
    let mut problems = Problems::default();
    let tenants = problems.absorb(load_tenants(settings));
    let upstreams = problems.absorb(settings.resolve_secrets(env).map_err(Missing::all));
    match (tenants, upstreams) {
        (
            Some(Tenants {
                tenants, mut warnings, ..
            }),
            Some(upstreams),
        ) => {
            warnings.extend(settings.warnings.clone());
            let governance = Governance {
                tenants,
                upstreams,
                routes: settings.routes.clone(),
                prices: settings.prices.clone(),
            };
            let warnings = warnings.sorted();
            Ok(Loaded { governance, warnings })
        }
        _ => Err(problems.sorted()),
    }
}

/// Reads the governance directory and compiles its policies.
///
/// # Errors
/// All that is wrong with all files.
pub(crate) fn load_tenants(settings: &Settings) -> Result<Tenants, Problems> {
    load_around(&Around::of(settings))
}

/// Reads the governance directory for its policies and their tests, and what a check would warn of. Agents and entities
/// are read and checked as well: policies speak of them.
///
/// # Errors
/// All that is wrong with all files.
pub fn load_policies(place: PolicyPlace<'_>) -> Result<(BTreeMap<TenantName, TenantPolicies>, Problems), Problems> {
    let all = match place {
        PolicyPlace::Settings(file) => load_tenants(&super::load(file)?)?,
        PolicyPlace::Directory(root) => load_around(&Around {
            root: &super::plain(root),
            spooling: true,
            upstreams: None,
        })?,
    };
    Ok((all.policies, all.warnings.sorted()))
}

fn load_around(around: &Around<'_>) -> Result<Tenants, Problems> {
    let mut files = Files::new(around.root);
    let mut all = Tenants {
        tenants: BTreeMap::new(),
        policies: BTreeMap::new(),
        warnings: Problems::default(),
    };
    let root = files.root();
    if !files.exists(&root) {
        let help = "`bailiwick init` writes one; `governance` in bailiwick.toml says where it is";
        return Err(problem::of_file_with_help(files.shown(&root), "there is no such directory", help).into());
    }
    let (tenants, parts): (Vec<_>, Vec<_>) = files
        .directories(&root, &ROOT_PARTS)
        .into_iter()
        .partition(|part| part.name == "tenants");
    let name = TenantName::default_tenant();
    load_tenant(&mut files, (name, &root), &parts, around, &mut all);
    for tenants in tenants {
        for directory in files.directories(&tenants, &[]) {
            let Some(name) = tenant_name(&mut files, &directory) else {
                continue;
            };
            let parts = files.directories(&directory, &PARTS);
            load_tenant(&mut files, (name, &directory), &parts, around, &mut all);
        }
    }
    files.problems.or_value(all)
}

fn tenant_name(files: &mut Files, directory: &Directory) -> Option<TenantName> {
    let shown = suggest::shown(&directory.name);
    let file = files.shown(directory);
    let problem = match TenantName::new(&directory.name) {
        Err(error) => problem::of_file(file, format!("`{shown}` cannot be the name of a tenant: {error}")),
        Ok(name) if name.is_reserved() => problem::of_file(
            file,
            format!("`{shown}` cannot be the name of a tenant: names that begin with '_' are Bailiwick's own"),
        ),
        Ok(name) if name == TenantName::default_tenant() => problem::of_file_with_help(
            file,
            "the tenant `default` is declared at the top of the governance directory",
            "move its agents, rules, schemas, policies, entities and tests there",
        ),
        Ok(name) => return Some(name),
    };
    files.problems.push(problem);
    None
}

fn load_tenant(
    files: &mut Files,
    (name, base): (TenantName, &Directory),
    parts: &[Directory],
    around: &Around<'_>,
    all: &mut Tenants,
) {
    let mut tenant = TenantGovernance::default();
    let mut declared = Declarations::default();
    let mut tests = Vec::new();
    for directory in parts {
        match directory.name.as_str() {
            "agents" | "rules" => load_manifests(files, directory, &mut declared),
            "schemas" => tenant.sources.schemas = load_carried(files, directory, Kind::Schemas),
            "policies" => tenant.sources.policies = load_carried(files, directory, Kind::Policies),
            "entities" => tenant.sources.entities = files.sources(directory, Kind::Entities),
            "tests" => tests = load_tests(files, directory),
            _ => {}
        }
    }
    declared.check(around.spooling, &mut files.problems);
    if let Some(upstreams) = &around.upstreams {
        declared.warn(&name, upstreams, &mut all.warnings);
    }
    declared.into(&mut tenant);
    if let Some(bundle) = compile(files, base, &tenant, &mut all.warnings) {
        let root = around.root.to_owned();
        let sources = tenant.sources.clone();
        let policies = TenantPolicies {
            bundle,
            sources,
            tests,
            root,
        };
        all.policies.insert(name.clone(), policies);
    }
    all.tenants.insert(name, tenant);
}

/// Reads tests. The log does not carry them: they change nothing.
fn load_tests(files: &mut Files, directory: &Directory) -> Vec<PolicyTest> {
    let mut tests = Vec::new();
    for source in files.sources(directory, Kind::Tests) {
        let (mut found, problems) = policy_test::parse(&files.shown_source(&source), &source.text);
        files.problems.extend(problems);
        tests.append(&mut found);
    }
    policy_test::check_names(&tests, &mut files.problems);
    tests
}

fn load_manifests(files: &mut Files, directory: &Directory, declared: &mut Declarations) {
    for source in files.sources(directory, Kind::Manifests) {
        let shown = files.shown_source(&source);
        let (documents, findings) = manifest::parse(&source.text);
        files.problems.extend(findings.of_file(&shown));
        for document in documents {
            declared.add(&shown, document);
        }
    }
}

/// Reads files that the log carries whole.
fn load_carried(files: &mut Files, directory: &Directory, kind: Kind) -> Vec<Source> {
    let sources = files.sources(directory, kind);
    for source in &sources {
        let json = serde_json::to_string(&source.text).map_or(usize::MAX, |json| json.len());
        if json > MAX_CARRIED_JSON {
            let shown = files.shown_source(source);
            let problem = files::too_long(shown, kind);
            files.problems.push(Problem {
                message: format!("{} with its quotes and line breaks escaped", problem.message),
                ..problem
            });
        }
    }
    sources
}

/// Compiles a tenant's policies for what is wrong with them; a server makes the bundle again when it is loaded.
fn compile(files: &mut Files, base: &Directory, tenant: &TenantGovernance, warnings: &mut Problems) -> Option<Bundle> {
    let facts = |agent: &AgentSpec| AgentFacts {
        name: agent.name.clone(),
        team: agent.team.clone(),
        product: agent.product.clone(),
        environment: agent.environment.clone(),
    };
    let agents: Vec<AgentFacts> = tenant.agents.iter().map(facts).collect();
    let Sources {
        schemas,
        policies,
        entities,
    } = &tenant.sources;
    let sources: Vec<&Source> = schemas.iter().chain(policies).chain(entities).collect();
    let ours = |problem: policy::Problem| Problem {
        // What is about no file in particular is about the tenant's whole directory of that name.
        file: match sources.iter().find(|source| source.file == problem.file) {
            Some(source) => files.shown_source(source),
            None => files.shown_in(base, &problem.file),
        },
        line: problem.line,
        column: problem.column,
        message: problem.message,
        help: problem.help,
    };
    match Bundle::compile(&tenant.sources, &agents) {
        Ok(bundle) => {
            warnings.extend(bundle.warnings().iter().cloned().map(ours).collect());
            Some(bundle)
        }
        Err(problems) => {
            let problems: Problems = problems.into_iter().map(ours).collect();
            files.problems.extend(problems);
            None
        }
    }
}

#[cfg(test)]
mod tests;
