//! `bailiwick policy explain`

use std::{
    fs::File,
    io::{Read as _, stdin},
    path::{Path, PathBuf},
};

use config::{AskedParty, AskedQuery, Problem, Problems, TestRequest, parse_request};
use model::TenantName;
use policy::{Breadth, Explanation, Outcome, Properties};
use serde_json::{Map, Value, json};

use super::{
    super::{
        Common, Failure,
        output::{BAD, DOUBTFUL, GOOD, Output},
        table::{clean, clean_lines},
    },
    Place, shown,
};

/// The longest request.
const MAX_BYTES: u64 = 1024 * 1024;

/// Explain why a request is permitted or denied
///
/// Tells which policies are about the request, which of their clauses hold, and the values that were read; of a request that
/// nothing permits, which policies come nearest. Asks the files, and no server: entities that administrators stored in one
/// are not among them. A request is one of an enforcement point
/// (--subject, --action, --resource), or a model call (--agent, --model).
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Values are JSON, or else text: --context amount=5 is a number, --context channel=mail a text, --context 'order=\"5\"' a
text again. Exit code: 0 whatever the answer is, 2 if the request makes no sense, 64 if the files are wrong.

Examples:
  bailiwick policy explain --subject User:alice --action read --resource Doc:plan --context channel=mail
  bailiwick policy explain --agent assistant --model openai/gpt-4o-mini --cost '0.50 USD'
  bailiwick policy explain --request request.json --all
  curl -s https://pep.example/last-request | bailiwick policy explain --request - --json")]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    query: QueryArgs,
    #[command(flatten)]
    call: CallArgs,
    /// What would be done [default for a model call: llm:generate]
    #[arg(long, value_name = "NAME", conflicts_with = "request")]
    action: Option<String>,
    /// The request as AuthZEN's JSON; `-` reads it from standard input
    #[arg(long, value_name = "FILE")]
    request: Option<PathBuf>,
    /// Every policy, also those that are about something else
    #[arg(long)]
    all: bool,
    /// Whose policies
    #[arg(long, default_value_t = TenantName::default_tenant())]
    tenant: TenantName,
    #[command(flatten)]
    place: Place,
}

/// What an enforcement point asks.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "A request of an enforcement point")]
struct QueryArgs {
    /// Who asks: a type and an id, such as User:alice
    #[arg(long, value_name = "TYPE:ID", value_parser = AskedParty::parse, conflicts_with_all = ["agent", "request"])]
    subject: Option<AskedParty>,
    /// With what, such as Doc:plan
    #[arg(long, value_name = "TYPE:ID", value_parser = AskedParty::parse, conflicts_with_all = ["agent", "request"])]
    resource: Option<AskedParty>,
    /// What the request says of the subject; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair, requires = "subject")]
    subject_property: Vec<(String, Value)>,
    /// What the request says of the action; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair, requires = "subject")]
    action_property: Vec<(String, Value)>,
    /// What the request says of the resource; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair, requires = "resource")]
    resource_property: Vec<(String, Value)>,
    /// What else the request says; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair, requires = "subject")]
    context: Vec<(String, Value)>,
    /// As if somebody had approved it
    #[arg(long, requires = "subject")]
    approved: bool,
}

/// A model call.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "A model call")]
struct CallArgs {
    /// The agent that makes it
    #[arg(long, value_name = "NAME", conflicts_with = "request")]
    agent: Option<String>,
    /// The model, such as openai/gpt-4o-mini
    #[arg(long, value_name = "UPSTREAM/NAME", requires = "agent")]
    model: Option<String>,
    /// The upstream, for --action llm:list
    #[arg(long, value_name = "NAME", requires = "agent")]
    upstream: Option<String>,
    /// Ask for a streamed answer
    #[arg(long, requires = "agent")]
    stream: bool,
    /// The output limit in tokens
    #[arg(long, value_name = "NUMBER", requires = "agent")]
    max_output_tokens: Option<u64>,
    /// A tool that is offered to the model; may be repeated
    #[arg(long, value_name = "NAME", requires = "agent")]
    tool: Vec<String>,
    /// What it can cost at most, such as '0.50 USD'
    #[arg(long, value_name = "AMOUNT", requires = "agent")]
    cost: Option<String>,
    /// What the credential is for: interactive, background, sub-agent or api
    #[arg(long, requires = "agent")]
    tier: Option<String>,
    /// The kind of task
    #[arg(long, requires = "agent")]
    task: Option<String>,
    /// The run
    #[arg(long, requires = "agent")]
    run: Option<String>,
    /// The user on whose behalf, as policies name users
    #[arg(long, requires = "agent")]
    user: Option<String>,
}

/// `name=value`.
fn pair(text: &str) -> Result<(String, Value), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => {
            let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
            Ok((name.to_owned(), value))
        }
        _ => Err("write a name, `=` and a value, such as channel=mail".to_owned()),
    }
}

pub(super) fn run(common: &Common, args: &Args, out: &mut Output) -> Result<(), Failure> {
    let request = args.request()?;
    let all = args.place.load(common)?;
    let Some(policies) = all.get(&args.tenant) else {
        let known: Vec<&str> = all.keys().map(TenantName::as_str).collect();
        return Err(Failure::failed(format!(
            "the governance directory has no tenant \"{}\"; it has {}",
            args.tenant,
            known.join(", ")
        )));
    };
    let breadth = if args.all { Breadth::All } else { Breadth::Concerned };
    let explanation = match &request {
        TestRequest::Query(query) => policies.bundle.explain(&query.query(), breadth),
        TestRequest::Call(call) => policies.bundle.explain_question(&call.question(), breadth),
    };
    let explanation = shown(explanation, &policies.root);
    out.show(&explanation.to_json(), |out| print(&explanation, out))
}

fn print(explanation: &Explanation, out: &mut Output) -> std::io::Result<()> {
    let style = match explanation.verdict.outcome {
        Outcome::Permit => GOOD,
        Outcome::Deny => BAD,
        Outcome::ApprovalRequired => DOUBTFUL,
    };
    let text = explanation.to_string();
    let headline = explanation.headline();
    for (nth, line) in text.lines().enumerate() {
        match line.strip_prefix(&headline).filter(|_| nth == 0) {
            Some(rest) => out.line(format_args!("{style}{headline}{style:#}{}", clean(rest)))?,
            None => out.line(clean_lines(line))?,
        }
    }
    Ok(())
}

impl Args {
    fn request(&self) -> Result<TestRequest, Failure> {
        if let Some(file) = &self.request {
            return parse_request(&file.display().to_string(), read(file)?).map_err(Failure::Refused);
        }
        if self.call.agent.is_some() {
            let json = self.call.json(self.action.as_deref()).to_string();
            return parse_request("", json.into_bytes()).map_err(of_arguments);
        }
        let QueryArgs { subject, resource, .. } = &self.query;
        match (subject, &self.action, resource) {
            (Some(subject), Some(action), Some(resource)) => Ok(TestRequest::Query(Box::new(AskedQuery {
                subject: with(subject, &self.query.subject_property),
                action: action.clone(),
                action_properties: properties(&self.query.action_property),
                resource: with(resource, &self.query.resource_property),
                context: properties(&self.query.context),
                approved: self.query.approved,
            }))),
            _ => Err(Failure::Usage(
                "say who would do what with what: --subject User:alice --action read --resource Doc:plan; or for a model call \
                 --agent assistant --model openai/gpt-4o-mini; or --request FILE"
                    .to_owned(),
            )),
        }
    }
}

/// What is wrong with a request that was put together from arguments has no place in a file.
fn of_arguments(problems: Problems) -> Failure {
    let texts = problems.iter().map(|Problem { message, help, .. }| match help {
        Some(help) => format!("{message}\n  help: {help}"),
        None => message.clone(),
    });
    Failure::Usage(texts.collect::<Vec<_>>().join("\n"))
}

fn with(party: &AskedParty, given: &[(String, Value)]) -> AskedParty {
    AskedParty {
        properties: properties(given),
        ..party.clone()
    }
}

fn properties(given: &[(String, Value)]) -> Option<Properties> {
    (!given.is_empty()).then(|| given.iter().cloned().collect())
}

impl CallArgs {
    /// The call as a test would have it.
    fn json(&self, action: Option<&str>) -> Value {
        let mut json = Map::new();
        let texts = [
            ("agent", self.agent.as_deref()),
            ("action", action),
            ("model", self.model.as_deref()),
            ("upstream", self.upstream.as_deref()),
            ("cost", self.cost.as_deref()),
            ("tier", self.tier.as_deref()),
            ("task", self.task.as_deref()),
            ("run", self.run.as_deref()),
            ("user", self.user.as_deref()),
        ];
        for (name, text) in texts {
            json.extend(text.map(|text| (name.to_owned(), json!(text))));
        }
        json.extend(
            self.max_output_tokens
                .map(|tokens| ("max_output_tokens".to_owned(), json!(tokens))),
        );
        if self.stream {
            json.insert("stream".to_owned(), json!(true));
        }
        if !self.tool.is_empty() {
            json.insert("tools".to_owned(), json!(self.tool));
        }
        Value::Object(json)
    }
}

fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    let failed = |error| Failure::failed(format!("{}: cannot be read: {error}", file.display()));
    let mut bytes = Vec::new();
    let most = MAX_BYTES + 1;
    match file == Path::new("-") {
        true => stdin().take(most).read_to_end(&mut bytes),
        false => File::open(file).and_then(|file| file.take(most).read_to_end(&mut bytes)),
    }
    .map_err(failed)?;
    match u64::try_from(bytes.len()).is_ok_and(|length| length < most) {
        true => Ok(bytes),
        false => Err(Failure::failed(format!(
            "{}: the request is longer than 1 MiB",
            file.display()
        ))),
    }
}
