//! What the catalogue lists for one model, read by the table in [`crate::field`].

use std::{borrow::Cow, collections::BTreeMap};

use model::ServiceTier;
use serde_json::value::RawValue;

use crate::{
    Class, Field, Price,
    catalogue::Line,
    fee::{Fees, SearchFees, Searching},
    field::{Place, Unit},
    region::Region,
    sheet::{Gaps, Writes},
};

/// The price fields of a model.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(crate) gaps: Gaps,
    pub(crate) fees: Fees,
    /// The first field that is billed above zero in a unit the usage figures do not hold.
    pub(crate) unmetered: Option<String>,
    /// The field that bills pictures sent by the piece: the usage figures do not count them.
    pub(crate) images: Option<String>,
    pub(crate) uplifts: Uplifts,
    makes_pictures: bool,
}

/// Factors on every price, by where a call is processed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Uplifts {
    us: Price,
    eu: Price,
}

impl Uplifts {
    /// The list price everywhere.
    pub(crate) const NONE: Self = Self {
        us: Price::ONE,
        eu: Price::ONE,
    };

    pub(crate) fn factor(self, region: Region) -> Price {
        match region {
            Region::Undeclared => self.us.max(self.eu),
            Region::Global => Price::ONE,
            Region::Us => self.us,
            Region::Eu => self.eu,
        }
    }

    fn raise(&mut self, place: Place, factor: Price) {
        if place != Place::Eu {
            self.us = self.us.max(factor);
        }
        if place != Place::Us {
            self.eu = self.eu.max(factor);
        }
    }
}

/// A JSON object, by the names of its fields.
type Fields<'a> = BTreeMap<Cow<'a, str>, &'a RawValue>;

impl Listed {
    /// Reads the price fields of a line. `Err` says which field is not understood.
    pub(crate) fn read(line: &Line<'_>) -> Result<Self, String> {
        let mut listed = Self {
            gaps: Gaps::new(writes(&line.provider, &line.model)),
            fees: Fees::default(),
            unmetered: None,
            images: None,
            uplifts: Uplifts::NONE,
            makes_pictures: line.mode.as_deref() == Some("image_generation"),
        };
        listed.fees.searching = searching(line);
        for (name, value) in &line.prices {
            listed
                .field(name, value)
                .map_err(|detail| format!("{name}: {detail}"))?;
        }
        if listed.fees.searching != Searching::Asked && listed.fees.search.is_none() {
            let field = "search_context_cost_per_query".to_owned();
            listed.unmetered.get_or_insert(field);
        }
        Ok(listed)
    }

    fn field(&mut self, name: &str, value: &RawValue) -> Result<(), String> {
        match Field::classify(name).ok_or("an unknown field")? {
            Field::Rate { class, above, tier } => self.rate(tier, above, class, price(value)?),
            Field::Fee(unit) => self.fee(name, unit, price(value)?),
            Field::Search => self.search(value)?,
            Field::Ranges => self.ranges(value)?,
            Field::OffPeak => self.off_peak(value)?,
            Field::Uplift(place) => self.uplifts.raise(place, price(value)?),
            Field::ProviderSpecific => self.provider_specific(value)?,
            Field::Unmetered if above_zero(value) => {
                self.unmetered.get_or_insert_with(|| name.to_owned());
            }
            Field::OnlyWith(_) | Field::Offline | Field::OtherTier | Field::Note | Field::Unmetered => {}
        }
        Ok(())
    }

    fn fee(&mut self, name: &str, unit: Unit, price: Price) {
        if price.is_zero() {
            return;
        }
        self.fees.list(unit, price, self.makes_pictures);
        if unit == Unit::AnyPicture && !self.makes_pictures {
            self.images.get_or_insert_with(|| name.to_owned());
        }
    }

    /// Takes text for free, for models whose use costs nothing. A price above zero contradicts that and is kept apart.
    pub(crate) fn free_text(&mut self) {
        for class in [Class::Input, Class::Output] {
            if self.gaps.base(class).is_some() {
                self.unmetered
                    .get_or_insert("a price of a model that was free".to_owned());
            }
            self.gaps.list(ServiceTier::Standard, 0, class, Price::ZERO);
        }
    }

    /// `{"search_context_size_low": <price>, ...}`.
    fn search(&mut self, value: &RawValue) -> Result<(), String> {
        let fields: Fields<'_> = parse(value)?;
        let fee = |size: &str| {
            let value = fields.get(size).ok_or_else(|| format!("no {size}"))?;
            price(value)
        };
        let fees = SearchFees {
            low: fee("search_context_size_low")?,
            medium: fee("search_context_size_medium")?,
            high: fee("search_context_size_high")?,
        };
        if fees.fee(None).is_zero() {
            return Ok(());
        }
        self.fees.search = Some(fees);
        Ok(())
    }

    /// A zero in the catalogue means "not entered" as often as "free": it is a gap, to be filled upwards.
    fn rate(&mut self, tier: ServiceTier, above: u64, class: Class, price: Price) {
        if !price.is_zero() {
            self.gaps.list(tier, above, class, price);
        }
    }

    /// `[{"range": [from, to], <rate>: <price>, ...}, ...]`: the whole request is priced by the range its input falls
    /// into. Beyond the last range the last one holds.
    fn ranges(&mut self, value: &RawValue) -> Result<(), String> {
        let ranges: Vec<Fields<'_>> = parse(value)?;
        for range in &ranges {
            let bounds = range.get("range").ok_or("a range without bounds")?;
            let [from, _]: [Cow<'_, str>; 2] = parse(bounds)?;
            let above = from.parse().map_err(|_| format!("not a number of tokens: {from}"))?;
            for (name, value) in range.iter().filter(|(name, _)| *name != "range") {
                self.rate(ServiceTier::Standard, above, plain(name)?, price(value)?);
            }
        }
        Ok(())
    }

    /// `{<rate>: <price>, ..., "windows": ...}`: listed like any other price, so that the dearer of list price and
    /// off-peak price counts at all hours.
    fn off_peak(&mut self, value: &RawValue) -> Result<(), String> {
        let fields: Fields<'_> = parse(value)?;
        for (name, value) in &fields {
            if !matches!(name.as_ref(), "windows" | "weekday_timezone") {
                self.rate(ServiceTier::Standard, 0, plain(name)?, price(value)?);
            }
        }
        Ok(())
    }

    /// `{"us": "1.1", "fast": "2", ...}`: see [`Field::ProviderSpecific`].
    fn provider_specific(&mut self, value: &RawValue) -> Result<(), String> {
        let fields: Fields<'_> = parse(value)?;
        for (name, value) in &fields {
            match name.as_ref() {
                "us" => self.uplifts.raise(Place::Us, price(value)?),
                "fast" | "bedrock_invocation_schema" => {}
                _ => return Err(format!("an unknown part {name}")),
            }
        }
        Ok(())
    }
}

/// Whether a missing cache-write price follows Anthropic's rule: wherever Claude is sold.
pub(crate) fn writes(provider: &str, model: &str) -> Writes {
    if provider == "anthropic" || model.contains("claude") {
        Writes::Surcharged
    } else {
        Writes::AsInput
    }
}

/// Models that search the web, for a fee, without being asked to by the request: those that carry it in their name.
/// Perplexity's charge the fee once for every call (<https://docs.perplexity.ai/getting-started/pricing>); its research
/// model charges it for every search.
fn searching(line: &Line<'_>) -> Searching {
    let word = |wanted| {
        line.model
            .split(|c: char| !c.is_ascii_alphanumeric())
            .any(|word| word == wanted)
    };
    let fee = line.prices.contains_key("search_context_cost_per_query");
    if word("search") || fee && word("research") {
        Searching::Unasked
    } else if fee && line.provider == "perplexity" {
        Searching::EveryCall
    } else {
        Searching::Asked
    }
}

/// The class of a rate without threshold and tier.
fn plain(name: &str) -> Result<Class, String> {
    match Field::classify(name) {
        Some(Field::Rate {
            class,
            above: 0,
            tier: ServiceTier::Standard,
        }) => Ok(class),
        _ => Err(format!("an unknown part {name}")),
    }
}

fn parse<'a, T: serde::Deserialize<'a>>(value: &'a RawValue) -> Result<T, String> {
    serde_json::from_str(value.get()).map_err(|error| error.to_string())
}

fn price(value: &RawValue) -> Result<Price, String> {
    parse::<Cow<'_, str>>(value)?
        .parse()
        .map_err(|error: crate::PriceTextError| error.to_string())
}

/// Anything but a zero; what is not a single price counts as above zero.
fn above_zero(value: &RawValue) -> bool {
    price(value) != Ok(Price::ZERO)
}
