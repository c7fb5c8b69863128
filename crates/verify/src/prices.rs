//! What calls cost, computed again from the usage that the log has and the prices that it names.
//!
//! An outcome does not say in which service tier a call was served, in which region, or whether its input held audio or
//! images, and some prices depend on that. So a cost is right if it is what the usage costs at the plain prices, or in one
//! of the ways in which such a call can be billed; how many are of the second kind is reported.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
};

use entry::{Entry, Event, Intent, Outcome, PriceRecord, State, UpstreamRecord};
use ledger::Attempt;
use model::{Digest, Feature, FeatureUse, NanoUsd, ServiceTier, UpstreamName, Usage, UsageSource, Work};
use pricing::{Demand, ModelPrices, Override, PriceBook, Region};
use serde::Serialize;

/// How costs were checked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Costs {
    /// Costs computed again from usage and prices, and found to be these.
    pub computed: u64,
    /// Of these, costs in another service tier or region than the plain one, or with audio or images in the input: the log
    /// does not say that they were, only that it would cost this.
    pub otherwise: u64,
    /// Costs that are the hold, because nobody knows what was used.
    pub held: u64,
    /// Attempts that used nothing and cost nothing.
    pub nothing: u64,
    /// Costs at prices of a catalogue that this program does not have.
    pub unknown_book: u64,
    /// Costs of pictures whose price depends on the size that was asked for, which the log does not have.
    pub pictures: u64,
}

/// The prices that a log names, and the attempts whose cost is to come.
#[derive(Debug, Default)]
pub(crate) struct Prices {
    books: HashMap<u64, Arc<Book>>,
    in_effect: Option<u64>,
    upstreams: HashMap<UpstreamName, Provider>,
    /// The tariffs of the book and the upstreams in effect, by upstream and model.
    tariffs: HashMap<UpstreamName, HashMap<String, Vec<Looked>>>,
    open: HashMap<Attempt, Open>,
    /// Whether entries were let go before: what is missing may have been among them.
    gone: bool,
    pub(crate) costs: Costs,
}

#[derive(Debug)]
struct Book {
    prices: PriceBook,
    /// Whether this program's catalogue is the one that the book was made with.
    whole: bool,
    /// The models that have a price of their own.
    own: Vec<(String, String)>,
}

#[derive(Clone, Debug)]
struct Provider {
    prices: String,
    region: Region,
}

/// What was looked up for a model.
#[derive(Debug)]
struct Looked {
    prices: u64,
    kind: Kind,
    tariff: Arc<Tariff>,
}

#[derive(Debug)]
struct Open {
    tariff: Arc<Tariff>,
    held: NanoUsd,
}

/// What kind of work an action is, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Generate,
    Embed,
    Images,
    Speech,
    Transcribe,
    Free,
}

/// How the calls of one kind to one model are billed.
#[derive(Debug)]
enum Tariff {
    /// For nothing.
    Free,
    /// At these prices, or one of the other ways.
    Priced {
        kind: Kind,
        plain: Box<ModelPrices>,
        others: OnceLock<Vec<ModelPrices>>,
    },
    /// The log names a catalogue that is not this program's.
    UnknownBook,
    /// The book of the log has no price for such calls.
    Unpriced(String),
}

/// The prices that this program ships, and what they are known by: both take a while to make.
fn shipped() -> &'static (PriceBook, Digest) {
    static SHIPPED: OnceLock<(PriceBook, Digest)> = OnceLock::new();
    SHIPPED.get_or_init(|| {
        let book = PriceBook::builtin();
        let digest = book.digest();
        (book, digest)
    })
}

impl Kind {
    fn of(name: &str) -> Self {
        match name {
            "llm:embed" => Self::Embed,
            "llm:image" => Self::Images,
            "llm:speech" => Self::Speech,
            "llm:transcribe" => Self::Transcribe,
            "llm:moderate" | "llm:count" | "llm:list" => Self::Free,
            _ => Self::Generate,
        }
    }

    fn work(self) -> Work {
        match self {
            Self::Generate => Work::Generate,
            Self::Embed => Work::Embed,
            Self::Images => Work::Images {
                count: 1,
                size: None,
                quality: None,
            },
            Self::Speech => Work::Speech { characters: 0 },
            Self::Transcribe => Work::Transcribe { file_bytes: 0 },
            Self::Free => Work::Free,
        }
    }
}

impl Prices {
    /// Takes an entry that the fold has taken, or says what is wrong with its prices.
    pub(crate) fn take(&mut self, entry: &Entry) -> Result<(), String> {
        match &entry.event {
            Event::Intent(intent) => self.intent(intent),
            Event::Outcome(outcome) => self.outcome(outcome),
            Event::PricesLoaded { book, overrides, .. } => {
                self.load(entry.index, *book, overrides);
                Ok(())
            }
            Event::UpstreamsLoaded { upstreams, .. } => {
                self.tariffs.clear();
                self.upstreams = upstreams.iter().map(provider).collect();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// An entry was let go: it may have been any.
    pub(crate) fn gone(&mut self) {
        self.gone = true;
    }

    /// Goes on from the prices and the upstreams that a snapshot says were in effect.
    pub(crate) fn resume(&mut self, state: &State) {
        if let Some((book, index)) = state.prices.filter(|(_, index)| !self.books.contains_key(index)) {
            // Without the prices that were declared: if there were any, the digest is another.
            self.load(index, book, &[]);
        }
        self.in_effect = state.prices.map(|(_, index)| index);
        self.tariffs.clear();
        self.upstreams = state.upstreams.iter().map(provider).collect();
    }

    fn load(&mut self, index: u64, digest: Digest, overrides: &[PriceRecord]) {
        self.tariffs.clear();
        let (shipped, shipped_digest) = shipped();
        let own = overrides.iter().filter_map(|record| Some((record, own_price(record)?)));
        let (records, own): (Vec<&PriceRecord>, Vec<Override>) = own.unzip();
        let names = records
            .iter()
            .map(|record| (record.provider.clone(), record.model.clone()));
        let own_names = names.collect();
        let prices = shipped.clone().with_overrides(own);
        let whole = match &prices {
            Ok(_) if overrides.is_empty() => *shipped_digest == digest,
            Ok(prices) => prices.digest() == digest,
            Err(_) => false,
        };
        let prices = prices.unwrap_or_else(|_| shipped.clone());
        let book = Book {
            prices,
            whole,
            own: own_names,
        };
        self.books.insert(index, Arc::new(book));
        self.in_effect = Some(index);
    }

    fn intent(&mut self, intent: &Intent) -> Result<(), String> {
        let named = intent.prices;
        // What was let through while nothing could be recorded was decided before.
        if intent.spooled.is_none() && self.in_effect != Some(named) && !self.gone {
            return Err(match self.in_effect {
                Some(in_effect) => format!(
                    "the intent names the prices of entry {named}, but those of entry {in_effect} are in effect"
                ),
                None => format!("the intent names the prices of entry {named}, but none are in effect"),
            });
        }
        let action = &intent.action;
        let unknown = self.gone && !self.upstreams.contains_key(&action.upstream);
        let book = self.books.get(&named).filter(|_| !unknown);
        let Some(book) = book else {
            if self.gone {
                let tariff = Arc::new(Tariff::UnknownBook);
                let held = intent.hold;
                self.open.insert(intent.attempt(), Open { tariff, held });
                return Ok(());
            }
            return Err(format!(
                "the intent names entry {named} for its prices, which loads none"
            ));
        };
        let kind = Kind::of(&action.name);
        if !self.tariffs.contains_key(&action.upstream) {
            self.tariffs.insert(action.upstream.clone(), HashMap::new());
        }
        let models = self.tariffs.get_mut(&action.upstream).ok_or("no such upstream")?;
        let known = models.get(&action.model).and_then(|looked| {
            let mut looked = looked.iter();
            looked.find(|looked| (looked.prices, looked.kind) == (named, kind))
        });
        let tariff = match known {
            Some(looked) => Arc::clone(&looked.tariff),
            None => {
                let tariff = Arc::new(book.tariff(self.upstreams.get(&action.upstream), &action.model, kind));
                models.entry(action.model.clone()).or_default().push(Looked {
                    prices: named,
                    kind,
                    tariff: Arc::clone(&tariff),
                });
                tariff
            }
        };
        let open = Open {
            tariff,
            held: intent.hold,
        };
        self.open.insert(intent.attempt(), open);
        Ok(())
    }

    fn outcome(&mut self, outcome: &Outcome) -> Result<(), String> {
        // The fold has seen to it that there is one.
        let Some(open) = self.open.remove(&outcome.attempt()) else {
            return Ok(());
        };
        let cost = outcome.cost;
        match (outcome.source, &outcome.usage) {
            (UsageSource::Nothing, _) if cost == NanoUsd::ZERO => self.costs.nothing += 1,
            (UsageSource::Nothing, _) => return Err(format!("nothing was used, but {cost} USD are booked")),
            (UsageSource::Hold, _) if cost == open.held => self.costs.held += 1,
            (UsageSource::Hold, _) if cost < open.held => {
                return Err(format!(
                    "nobody knows what was used, but {cost} USD are booked and not the {} USD that were held",
                    open.held
                ));
            }
            (UsageSource::Hold, None) => {
                return Err(format!(
                    "{cost} USD are booked, more than the {} USD that were held, and no usage says why",
                    open.held
                ));
            }
            (UsageSource::Provider, None) => {
                return Err("the cost is said to be the provider's usage, but there is none".to_owned());
            }
            (UsageSource::Hold | UsageSource::Provider, Some(usage)) => self.priced(&open.tariff, usage, cost)?,
        }
        Ok(())
    }

    fn priced(&mut self, tariff: &Tariff, usage: &Usage, cost: NanoUsd) -> Result<(), String> {
        let (kind, plain, others) = match tariff {
            Tariff::UnknownBook => {
                self.costs.unknown_book += 1;
                return Ok(());
            }
            Tariff::Unpriced(why) => return Err(format!("{cost} USD are booked, but {why}")),
            Tariff::Free if cost == NanoUsd::ZERO => {
                self.costs.computed += 1;
                return Ok(());
            }
            Tariff::Free => return Err(format!("{cost} USD are booked for what costs nothing")),
            Tariff::Priced { kind, plain, others } => (*kind, plain, others),
        };
        let expected = plain.cost(usage, ServiceTier::Standard);
        if expected.as_ref() == Ok(&cost) {
            self.costs.computed += 1;
            return Ok(());
        }
        let others = others.get_or_init(|| ways(plain, kind));
        let tiers = [ServiceTier::Standard, ServiceTier::Flex, ServiceTier::Priority];
        let fits = |prices: &ModelPrices| tiers.iter().any(|tier| prices.cost(usage, *tier) == Ok(cost));
        if others.iter().any(fits) {
            self.costs.computed += 1;
            self.costs.otherwise += 1;
            return Ok(());
        }
        if kind == Kind::Images {
            self.costs.pictures += 1;
            return Ok(());
        }
        Err(match expected {
            Ok(expected) => {
                format!("{cost} USD are booked, but the usage costs {expected} USD at the prices in effect")
            }
            Err(error) => format!("{cost} USD are booked, but the usage has no price: {error}"),
        })
    }
}

impl Book {
    fn tariff(&self, provider: Option<&Provider>, model: &str, kind: Kind) -> Tariff {
        if kind == Kind::Free {
            return Tariff::Free;
        }
        let Some(Provider { prices, region }) = provider else {
            return Tariff::Unpriced("the log declares no such upstream".to_owned());
        };
        let has_own = || self.own.iter().any(|(of, name)| of == prices && name == model);
        if !self.whole && !has_own() {
            return Tariff::UnknownBook;
        }
        match self.prices.require(prices, model) {
            Ok(found) => Tariff::Priced {
                kind,
                plain: Box::new(in_scope(found.in_region(*region), kind, &[])),
                others: OnceLock::new(),
            },
            Err(error) => Tariff::Unpriced(error.to_string()),
        }
    }
}

/// All ways in which a call can be billed but for its tier.
fn ways(plain: &ModelPrices, kind: Kind) -> Vec<ModelPrices> {
    let sent: [&[Feature]; 4] = [
        &[],
        &[Feature::AudioInput],
        &[Feature::Image],
        &[Feature::AudioInput, Feature::Image],
    ];
    let regions = [Region::Undeclared, Region::Global, Region::Us, Region::Eu];
    // Where it was addressed to comes first, as the region of most.
    let plain_here = sent.iter().map(|sent| in_scope(plain.clone(), kind, sent));
    let elsewhere = regions.iter().flat_map(|region| {
        let there = move |sent: &&[Feature]| in_scope(plain.clone().in_region(*region), kind, sent);
        sent.iter().map(there).collect::<Vec<_>>()
    });
    plain_here.chain(elsewhere).collect()
}

/// The prices for a call that sends such things.
fn in_scope(prices: ModelPrices, kind: Kind, sent: &[Feature]) -> ModelPrices {
    let used = |feature: &Feature| FeatureUse {
        feature: *feature,
        count: 1,
        found: String::new(),
    };
    let features: Vec<FeatureUse> = sent.iter().map(used).collect();
    let work = kind.work();
    prices.for_call(&Demand {
        work: &work,
        request_bytes: 0,
        output_limit: 0,
        choices: 1,
        searches: 0,
        features: &features,
        tier: ServiceTier::Standard,
    })
}

fn provider(upstream: &UpstreamRecord) -> (UpstreamName, Provider) {
    let provider = Provider {
        prices: upstream.prices.clone(),
        region: Region::of_host(host(&upstream.base_url)),
    };
    (upstream.name.clone(), provider)
}

/// The host of a base URL.
fn host(url: &str) -> &str {
    let authority = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = authority.split('/').next().unwrap_or_default();
    match authority.strip_prefix('[') {
        Some(literal) => literal.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    }
}

/// A price as the configuration had it, from what the entry has of it. `None` if this program cannot read it: then the
/// digest of the book shows that it is not known.
fn own_price(record: &PriceRecord) -> Option<Override> {
    let text = |text: &String| serde_json::Value::from(text.as_str());
    let mut object = serde_json::Map::new();
    object.insert("provider".to_owned(), text(&record.provider));
    object.insert("model".to_owned(), text(&record.model));
    for (name, value) in &record.prices {
        let value = match name.as_str() {
            "max_output_tokens" => value.parse::<u64>().ok()?.into(),
            _ => text(value),
        };
        object.insert(name.clone(), value);
    }
    serde_json::from_value(object.into()).ok()
}
