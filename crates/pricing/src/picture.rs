//! What a picture costs that is billed by the piece: by its size, its quality or its pixels.

use crate::Price;

/// Width and height in pixels.
pub(crate) type Size = (u32, u32);

/// The prices of the pictures that one model makes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pictures {
    /// Of any picture.
    pub(crate) each: Option<Price>,
    /// Of a picture whose longer edge has at most so many pixels.
    pub(crate) up_to: Vec<(u32, Price)>,
    /// Of a pixel.
    pub(crate) pixel: Option<Price>,
    /// Of pictures of one size and quality, listed as entries of their own.
    pub(crate) variants: Vec<Variant>,
}

/// A price for pictures of one size and quality.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Variant {
    /// `None`: of any size that has no price of its own.
    pub(crate) size: Option<Size>,
    /// `None`: of any quality.
    pub(crate) quality: Option<String>,
    pub(crate) price: Price,
}

/// Why a picture has no price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Priceless {
    /// The model does not bill by the picture.
    NotByPicture,
    /// It does, but not pictures like this one.
    Unlisted,
    /// By the pixel, and the request leaves their number open.
    SizeNeeded,
}

impl Pictures {
    /// Whether any picture may have a price.
    pub(crate) fn is_priced(&self) -> bool {
        self.each.is_some() || self.pixel.is_some() || !self.up_to.is_empty() || !self.variants.is_empty()
    }

    /// The price of a picture of that size and quality, as a request names them. What it leaves open (or to the provider:
    /// `auto`) counts at its dearest.
    pub(crate) fn price(&self, size: Option<&str>, quality: Option<&str>) -> Result<Price, Priceless> {
        let chosen = |text: &&str| !text.is_empty() && *text != "auto";
        let (size, quality) = (size.filter(chosen), quality.filter(chosen));
        match self.variant(size, quality) {
            // Where the request leaves the size open, the model's own price is among the candidates.
            Some(price) if size.is_some() => Ok(price),
            Some(price) => Ok(self.own(size).map_or(price, |own| own.max(price))),
            None => self.own(size),
        }
    }

    fn variant(&self, size: Option<&str>, quality: Option<&str>) -> Option<Price> {
        let size = size.map(parse);
        let dearest = |fits: &dyn Fn(&Variant) -> bool| {
            let quality_fits = |variant: &&Variant| {
                quality.is_none() || variant.quality.is_none() || variant.quality.as_deref() == quality
            };
            let fitting = self
                .variants
                .iter()
                .filter(quality_fits)
                .filter(|variant| fits(variant));
            fitting.map(|variant| variant.price).max()
        };
        match size {
            None => dearest(&|_| true),
            Some(size) => dearest(&|variant| variant.size.is_some() && variant.size == size)
                .or_else(|| dearest(&|variant| variant.size.is_none())),
        }
    }

    /// The price that the model's own entry gives.
    fn own(&self, size: Option<&str>) -> Result<Price, Priceless> {
        let pixels = size.and_then(parse);
        let edge = size.and_then(edge).or(pixels.map(|(width, height)| width.max(height)));
        let by_edge = match edge {
            _ if self.up_to.is_empty() => self.each,
            None => self.up_to.iter().map(|(_, price)| *price).max().max(self.each),
            Some(edge) => {
                let fitting = self.up_to.iter().filter(|(up_to, _)| edge <= *up_to);
                let nearest = fitting.min_by_key(|(up_to, _)| *up_to).map(|(_, price)| *price);
                Some(nearest.ok_or(Priceless::Unlisted)?)
            }
        };
        let by_pixel = match (self.pixel, pixels) {
            (None, _) => None,
            (Some(_), None) => return Err(Priceless::SizeNeeded),
            (Some(price), Some((width, height))) => {
                let count = Price::new(u64::from(width) * u64::from(height), 0).and_then(|n| price.checked_mul(n));
                Some(count.ok_or(Priceless::Unlisted)?)
            }
        };
        // One charge stated twice: the dearer of the two.
        by_edge.max(by_pixel).ok_or(if self.variants.is_empty() {
            Priceless::NotByPicture
        } else {
            Priceless::Unlisted
        })
    }
}

/// `1024x1536` and its like, as requests and the catalogue write it.
pub(crate) fn parse(size: &str) -> Option<Size> {
    let (width, height) = size
        .split_once("-x-")
        .or_else(|| size.split_once(['x', 'X', '*', '×']))?;
    Some((width.trim().parse().ok()?, height.trim().parse().ok()?))
}

/// `2K`: the longer edge in pixels.
fn edge(size: &str) -> Option<u32> {
    match size {
        "0.5K" | "0.5k" | "512" => Some(512),
        "1K" | "1k" => Some(1_024),
        "2K" | "2k" => Some(2_048),
        "4K" | "4k" => Some(4_096),
        _ => None,
    }
}

/// The name of a catalogue entry that prices pictures of one size of a model: `[provider/][quality/]size/[steps/]model`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Key<'a> {
    /// `None`: `max-x-max`, any size that has no entry of its own.
    pub(crate) size: Option<Size>,
    /// The segment before the size. It may be the provider's name, which the entry tells.
    pub(crate) quality: Option<&'a str>,
    /// The rest. It may begin with the provider's name.
    pub(crate) model: &'a str,
}

impl<'a> Key<'a> {
    /// `None` for any other name. The steps of a diffusion model are no part of a request here, so entries that differ in
    /// them alone have the same key.
    pub(crate) fn read(name: &'a str) -> Option<Self> {
        let mut rest = name;
        let mut quality = None;
        loop {
            let (segment, after) = rest.split_once('/')?;
            let size = parse(segment);
            if size.is_some() || segment == "max-x-max" {
                let model = match after.split_once('/') {
                    Some((steps, model)) if steps.ends_with("-steps") => model,
                    _ => after,
                };
                return Some(Self { size, quality, model });
            }
            (quality, rest) = (Some(segment), after);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn price(text: &str) -> Price {
        text.parse().unwrap()
    }

    #[test]
    fn names_of_sizes_are_taken_apart() {
        for (name, key) in [
            (
                "1024-x-1024/gpt-image-1.5",
                Some((Some((1_024, 1_024)), None, "gpt-image-1.5")),
            ),
            (
                "azure/hd/1024-x-1792/dall-e-3",
                Some((Some((1_024, 1_792)), Some("hd"), "dall-e-3")),
            ),
            ("azure/1024-x-1024/m", Some((Some((1_024, 1_024)), Some("azure"), "m"))),
            ("max-x-max/max-steps/a.b-v0", Some((None, None, "a.b-v0"))),
            (
                "1024-x-1024/50-steps/bedrock/amazon.nova-canvas-v1:0",
                Some((Some((1_024, 1_024)), None, "bedrock/amazon.nova-canvas-v1:0")),
            ),
            ("gpt-4o-mini", None),
            ("fireworks_ai/accounts/8x7b-models/mixtral-8x7b", None),
        ] {
            let read = Key::read(name).map(|key| (key.size, key.quality, key.model));
            assert_eq!(read, key, "{name}");
        }
    }

    #[test]
    fn what_a_request_leaves_open_counts_at_its_dearest() {
        let variant = |size, quality: Option<&str>, text| Variant {
            size,
            quality: quality.map(str::to_owned),
            price: price(text),
        };
        let keyed = Pictures {
            variants: vec![
                variant(Some((1_024, 1_024)), Some("standard"), "0.04"),
                variant(Some((1_024, 1_024)), Some("hd"), "0.08"),
                variant(Some((1_024, 1_792)), Some("hd"), "0.12"),
            ],
            ..Pictures::default()
        };
        let stepped = Pictures {
            each: Some(price("0.08")),
            up_to: vec![(512, price("0.06")), (2_048, price("0.12")), (1_024, price("0.08"))],
            ..Pictures::default()
        };
        let pixel = Pictures {
            pixel: Some(price("0.00000005")),
            ..Pictures::default()
        };
        let both = Pictures {
            each: Some(price("0.06")),
            variants: vec![
                variant(Some((1_024, 1_024)), Some("low"), "0.04"),
                variant(None, Some("low"), "0.05"),
            ],
            ..Pictures::default()
        };
        for (pictures, size, quality, expected) in [
            (&keyed, Some("1024x1024"), Some("standard"), Ok("0.04")),
            (&keyed, Some("1024x1024"), None, Ok("0.08")),
            (&keyed, Some("1024x1024"), Some("auto"), Ok("0.08")),
            (&keyed, None, None, Ok("0.12")),
            (&keyed, Some("auto"), Some("standard"), Ok("0.04")),
            (&keyed, Some("1024x1792"), Some("standard"), Err(Priceless::Unlisted)),
            (&keyed, Some("9999x9999"), None, Err(Priceless::Unlisted)),
            (&stepped, Some("512x512"), None, Ok("0.06")),
            (&stepped, Some("513x20"), None, Ok("0.08")),
            (&stepped, Some("1024x1536"), Some("hd"), Ok("0.12")),
            (&stepped, Some("2K"), None, Ok("0.12")),
            (&stepped, None, None, Ok("0.12")),
            (&stepped, Some("4K"), None, Err(Priceless::Unlisted)),
            (&pixel, Some("1024x1024"), None, Ok("0.0524288")),
            (&pixel, None, None, Err(Priceless::SizeNeeded)),
            (&both, Some("1024x1024"), Some("low"), Ok("0.04")),
            (&both, Some("512x512"), Some("low"), Ok("0.05")),
            (&both, Some("512x512"), Some("high"), Ok("0.06")),
            (&both, None, Some("low"), Ok("0.06")),
            (&Pictures::default(), None, None, Err(Priceless::NotByPicture)),
        ] {
            assert_eq!(
                pictures.price(size, quality),
                expected.map(price),
                "{size:?} {quality:?}"
            );
        }
    }
}
