//! Whether so many budgets may select one request that it could not be held under all of them.
//!
//! A budget that selects is a conjunction: of each label that it names, the request has one of its values. So the requests
//! to look at are the combinations of values that occur. They are gone through label by label, and not at all where a bound
//! shows that no combination can be selected by too many; which is so at once unless many budgets stand on values that go
//! together.
//!
//! Values are taken to be free: that a team has no agent of a name, say, is not known here, so budgets of that team and
//! that agent count together. Tools do not count at all, because a request may offer those of all budgets. A budget that an
//! agent names and that selects the same request too is counted twice.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use model::BudgetName;

use crate::{BudgetSpec, Label, MAX_BUDGETS_PER_HOLD, Selector, Values};

/// How many labels and values of budgets are looked at before it is given up: less than a second of work.
const MAX_STEPS: usize = if cfg!(test) { 2_000_000 } else { 20_000_000 };
/// How many budgets an error names.
const NAMED: usize = 20;

/// Why budgets cannot be loaded together.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Overlap {
    /// A request could be selected by more budgets than it can be held under.
    #[error(
        "{count} budgets could select one request ({request}), and agents name up to {named} more, but a request can \
         have {MAX_BUDGETS_PER_HOLD}: narrow the selectors of some, or remove some, of {}", shown(.budgets, *.count)
    )]
    TooMany {
        /// The values that a request would have to be selected by all of them.
        request: Selector,
        /// How many budgets would select it.
        count: usize,
        /// Some of them, in order.
        budgets: Vec<BudgetName>,
        /// How many an agent names besides.
        named: usize,
    },
    /// It would take too long to find out.
    #[error(
        "the budgets overlap in too many ways to find out whether more than {MAX_BUDGETS_PER_HOLD} could select one \
         request: name fewer values and patterns of {}, or fewer of these labels in one budget, or replace many budgets \
         that differ in a value by one with `each`", in_words(.labels)
    )]
    TooTangled {
        /// The labels that are combined.
        labels: Vec<Label>,
    },
}

fn shown(budgets: &[BudgetName], count: usize) -> String {
    let mut names: Vec<_> = budgets.iter().map(ToString::to_string).collect();
    if count > budgets.len() {
        names.push(format!("{} more", count - budgets.len()));
    }
    names.join(", ")
}

fn in_words(labels: &[Label]) -> String {
    let words: Vec<_> = labels.iter().map(|label| label.as_str()).collect();
    words.join(", ")
}

/// Checks that no request can be selected by more budgets than it can be held under, where its agent names so many more.
/// Budgets without a selector select nothing.
pub fn check_overlap(named: usize, specs: &[&BudgetSpec]) -> Result<(), Overlap> {
    let room = MAX_BUDGETS_PER_HOLD.saturating_sub(named);
    let visited = Search::new(specs, room).and_then(|mut search| {
        let all: Vec<_> = (0..search.budgets.len()).collect();
        search.visit(&all, &mut Vec::new())
    });
    visited.map_err(|stop| match stop {
        Stop::Steps(labels) => {
            let labels = labels.into_iter().collect();
            Overlap::TooTangled { labels }
        }
        Stop::Found { request, mut names } => {
            let count = names.len();
            names.sort_unstable();
            names.truncate(NAMED);
            Overlap::TooMany {
                request,
                count,
                budgets: names,
                named,
            }
        }
    })
}

/// A label and one of its values, by its place among all that occur.
type Place = usize;

/// The places that a budget selects of one label. Budgets that name the same values share it.
struct Choice {
    label: Label,
    places: Vec<Place>,
}

struct Search<'a> {
    room: usize,
    names: Vec<&'a BudgetName>,
    choices: Vec<Choice>,
    /// The choices of each budget, one for each label that matters.
    budgets: Vec<Vec<usize>>,
    /// The value at each place.
    values: Vec<(Label, &'a str)>,
    steps: usize,
}

enum Stop {
    /// Such a request is selected by too many budgets, namely these.
    Found { request: Selector, names: Vec<BudgetName> },
    /// It takes too long, because of these labels.
    Steps(BTreeSet<Label>),
}

/// What the budgets of one visit come to.
struct Bound {
    /// How many budgets are counted at each place.
    counts: Vec<usize>,
    /// How many select whatever the values are.
    always: usize,
    /// Of each label, the greatest count of a place, and the first with it.
    greatest: BTreeMap<Label, (usize, Place)>,
    /// The choices that budgets have.
    choices: Vec<usize>,
    /// The labels that some budget names together with another one.
    combined: BTreeSet<Label>,
}

impl Bound {
    /// No combination of values is selected by more.
    fn total(&self) -> usize {
        self.always + self.greatest.values().map(|(count, _)| count).sum::<usize>()
    }
}

impl<'a> Search<'a> {
    fn new(specs: &[&'a BudgetSpec], room: usize) -> Result<Self, Stop> {
        let selectors = specs
            .iter()
            .filter_map(|spec| Some((&spec.name, spec.select.as_ref()?)));
        let selectors: Vec<_> = selectors.filter(|(_, selector)| selector.can_select()).collect();
        let mut search = Self {
            room,
            names: selectors.iter().map(|(name, _)| *name).collect(),
            choices: Vec::new(),
            budgets: Vec::with_capacity(selectors.len()),
            values: values(&selectors),
            steps: 0,
        };
        let mut known: HashMap<(Label, Values<'_>), usize> = HashMap::new();
        for (_, selector) in selectors {
            let mut budget = Vec::new();
            for (label, patterns) in constraints(selector) {
                if let Some(choice) = known.get(&(label, patterns)) {
                    budget.push(*choice);
                    continue;
                }
                let places = places(&search.values, label, patterns);
                // They are kept, so they are dearer than what is only looked at.
                search.step(4 * places.len(), || BTreeSet::from([label]))?;
                known.insert((label, patterns), search.choices.len());
                budget.push(search.choices.len());
                search.choices.push(Choice { label, places });
            }
            search.budgets.push(budget);
        }
        Ok(search)
    }

    /// Looks for a request that too many of these budgets select, if it has the chosen values already.
    fn visit(&mut self, budgets: &[usize], chosen: &mut Vec<Place>) -> Result<(), Stop> {
        let bound = self.bound(budgets, chosen)?;
        if bound.total() <= self.room {
            return Ok(());
        }
        let Some((label, branches)) = self.branches(&bound) else {
            // Each budget names one more label at most: the greatest counts are those of one request.
            return Err(self.found(budgets, chosen, &bound));
        };
        for place in branches {
            self.step(budgets.len(), || bound.combined.clone())?;
            let selects = |at: &usize| {
                let named = self.choices_of(*at).find(|(_, choice)| choice.label == label);
                named.is_none_or(|(_, choice)| choice.places.binary_search(&place).is_ok())
            };
            let rest: Vec<_> = budgets.iter().copied().filter(selects).collect();
            chosen.push(place);
            self.visit(&rest, chosen)?;
            chosen.pop();
        }
        Ok(())
    }

    /// Counts each budget at one label only, the one whose values have the fewest budgets: no request is selected by more
    /// than, for each label, the most that are counted at one of its values.
    fn bound(&mut self, budgets: &[usize], chosen: &[Place]) -> Result<Bound, Stop> {
        let chosen: BTreeSet<Label> = chosen.iter().filter_map(|place| self.label(*place)).collect();
        let mut uses = vec![0; self.choices.len()];
        let (mut choices, mut combined, mut steps) = (Vec::new(), BTreeSet::new(), 0);
        for at in budgets {
            for (choice_at, _) in self.open(*at, &chosen) {
                if let Some(count) = uses.get_mut(choice_at) {
                    if *count == 0 {
                        choices.push(choice_at);
                    }
                    *count += 1;
                }
            }
            let open = self.open(*at, &chosen).count();
            if open > 1 {
                combined.extend(self.open(*at, &chosen).map(|(_, label)| label));
            }
            steps += open + 1;
        }
        let places = choices.iter().filter_map(|choice_at| self.choices.get(*choice_at));
        steps += places.map(|choice| choice.places.len()).sum::<usize>();
        steps += (self.choices.len() + self.values.len()) / 16;
        self.step(steps, || combined.clone())?;
        let all = self.counted(&choices, &uses);
        let mut crowds = vec![0; self.choices.len()];
        for choice_at in &choices {
            if let Some(crowd) = crowds.get_mut(*choice_at) {
                *crowd = self
                    .places(*choice_at)
                    .filter_map(|place| all.get(place))
                    .max()
                    .copied()
                    .unwrap_or(0);
            }
        }
        let (mut uses, mut always) = (vec![0; self.choices.len()], 0);
        for at in budgets {
            let open = self.open(*at, &chosen).map(|(choice_at, _)| choice_at);
            match open.min_by_key(|choice_at| crowds.get(*choice_at)) {
                Some(choice_at) => uses.get_mut(choice_at).into_iter().for_each(|count| *count += 1),
                None => always += 1,
            }
        }
        let counts = self.counted(&choices, &uses);
        let mut greatest: BTreeMap<Label, (usize, Place)> = BTreeMap::new();
        for place in choices.iter().flat_map(|choice_at| self.places(*choice_at)) {
            if let (Some(label), Some(count)) = (self.label(place), counts.get(place)) {
                let known = greatest.entry(label).or_default();
                if *count > known.0 {
                    *known = (*count, place);
                }
            }
        }
        Ok(Bound {
            counts,
            always,
            greatest,
            choices,
            combined,
        })
    }

    /// How many budgets there are at each place, if these choices are made by so many.
    fn counted(&self, choices: &[usize], uses: &[usize]) -> Vec<usize> {
        let mut counts = vec![0; self.values.len()];
        for choice_at in choices {
            let used = uses.get(*choice_at).copied().unwrap_or_default();
            for place in self.places(*choice_at) {
                if let Some(count) = counts.get_mut(place) {
                    *count += used;
                }
            }
        }
        counts
    }

    fn places(&self, choice_at: usize) -> impl Iterator<Item = Place> {
        let choice = self.choices.get(choice_at).into_iter();
        choice.flat_map(|choice| choice.places.iter().copied())
    }

    /// The label to go on with, the one with the fewest values that can lead to too many, and these values; `None` if no
    /// budget names two labels that are open.
    fn branches(&self, bound: &Bound) -> Option<(Label, BTreeSet<Place>)> {
        let branches = bound.combined.iter().map(|label| {
            let others = bound.total() - bound.greatest.get(label).map_or(0, |(count, _)| *count);
            let leads = |place: &Place| others + bound.counts.get(*place).copied().unwrap_or_default() > self.room;
            let choices = bound
                .choices
                .iter()
                .filter_map(|choice_at| self.choices.get(*choice_at));
            let places = choices
                .filter(|choice| choice.label == *label)
                .flat_map(|choice| &choice.places);
            (*label, places.copied().filter(leads).collect::<BTreeSet<_>>())
        });
        branches.min_by_key(|(_, places)| places.len())
    }

    fn found(&self, budgets: &[usize], chosen: &[Place], bound: &Bound) -> Stop {
        let greatest = bound.greatest.values().map(|(_, place)| *place);
        let places: BTreeSet<Place> = chosen.iter().copied().chain(greatest).collect();
        let selects = |at: &&usize| {
            let mut choices = self.choices_of(**at);
            choices.all(|(_, choice)| choice.places.iter().any(|place| places.contains(place)))
        };
        let names = budgets.iter().filter(selects).filter_map(|at| self.names.get(*at));
        let values = places.iter().filter_map(|place| self.values.get(*place));
        Stop::Found {
            request: values
                .map(|(label, value)| (*label, vec![(*value).to_owned()]))
                .collect(),
            names: names.copied().cloned().collect(),
        }
    }

    /// The choices of a budget whose labels have no value yet.
    fn open(&self, budget: usize, chosen: &BTreeSet<Label>) -> impl Iterator<Item = (usize, Label)> {
        let choices = self
            .choices_of(budget)
            .map(|(choice_at, choice)| (choice_at, choice.label));
        choices.filter(|(_, label)| !chosen.contains(label))
    }

    fn choices_of(&self, budget: usize) -> impl Iterator<Item = (usize, &Choice)> {
        let choices = self.budgets.get(budget).into_iter().flatten();
        choices.filter_map(|choice_at| Some((*choice_at, self.choices.get(*choice_at)?)))
    }

    fn label(&self, place: Place) -> Option<Label> {
        self.values.get(place).map(|(label, _)| *label)
    }

    fn step(&mut self, count: usize, labels: impl FnOnce() -> BTreeSet<Label>) -> Result<(), Stop> {
        self.steps = self.steps.saturating_add(count);
        if self.steps > MAX_STEPS {
            return Err(Stop::Steps(labels()));
        }
        Ok(())
    }
}

/// The values that stand for all: those written out, and the beginnings of patterns. A value that nobody wrote meets the
/// patterns that it begins like, and the longest of these beginnings, taken as a value, meets them too.
fn values<'a>(selectors: &[(&BudgetName, &'a Selector)]) -> Vec<(Label, &'a str)> {
    let mut values = Vec::new();
    for (_, selector) in selectors {
        for (label, patterns) in constraints(selector) {
            let beginnings = patterns.iter().map(|value| value.strip_suffix('*').unwrap_or(value));
            values.extend(beginnings.filter(|value| !value.is_empty()).map(|value| (label, value)));
        }
    }
    values.sort_unstable();
    values.dedup();
    values
}

/// The labels whose value matters: not tools, and not those whose every value will do.
fn constraints(selector: &Selector) -> impl Iterator<Item = (Label, Values<'_>)> {
    let labels = selector.iter();
    labels.filter(|(label, patterns)| *label != Label::Tool && !patterns.iter().any(|pattern| pattern == "*"))
}

/// Where the values are that one of the patterns stands for. The values are in order, so those with one beginning are
/// neighbours.
fn places(values: &[(Label, &str)], label: Label, patterns: Values<'_>) -> Vec<Place> {
    let mut found = Vec::with_capacity(patterns.len());
    for pattern in patterns.iter() {
        let (beginning, whole) = match pattern.strip_suffix('*') {
            Some(beginning) => (beginning, false),
            None => (pattern, true),
        };
        let first = values.partition_point(|value| *value < (label, beginning));
        let rest = values.iter().enumerate().skip(first);
        let meets = |(_, (other, value)): &(usize, &(Label, &str))| {
            *other == label
                && if whole {
                    *value == beginning
                } else {
                    value.starts_with(beginning)
                }
        };
        found.extend(rest.take_while(meets).map(|(place, _)| place));
    }
    found.sort_unstable();
    found.dedup();
    found
}
