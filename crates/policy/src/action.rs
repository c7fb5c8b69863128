//! The actions that policies decide about.

use std::{fmt, str::FromStr};

/// Something an agent can do with a model provider. The schema says what each is about ([`crate::Bundle::schema_text`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    /// Text from a model: chat, messages, responses, completions.
    Generate,
    /// Vectors from text.
    Embed,
    /// A verdict on whether content is harmful.
    Moderate,
    /// Pictures: made, edited or varied.
    Image,
    /// Speech from text.
    Speech,
    /// Text from speech.
    Transcribe,
    /// How many tokens a request would have.
    Count,
    /// The models an upstream offers.
    List,
}

/// Why a text is not an action's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownAction(
    /// The text.
    pub String,
);

impl fmt::Display for UnknownAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = Action::ALL.map(Action::as_str).join(", ");
        write!(f, "{:?} is not an action; the actions are {known}", self.0)
    }
}

impl std::error::Error for UnknownAction {}

impl Action {
    /// Every action.
    pub const ALL: [Self; 8] = [
        Self::Generate,
        Self::Embed,
        Self::Moderate,
        Self::Image,
        Self::Speech,
        Self::Transcribe,
        Self::Count,
        Self::List,
    ];

    /// Its name in policies and in the log, such as `llm:generate`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Generate => "llm:generate",
            Self::Embed => "llm:embed",
            Self::Moderate => "llm:moderate",
            Self::Image => "llm:image",
            Self::Speech => "llm:speech",
            Self::Transcribe => "llm:transcribe",
            Self::Count => "llm:count",
            Self::List => "llm:list",
        }
    }

    /// What an agent does, up to the model's or the upstream's name: "embed with the model".
    pub(crate) fn phrase(self) -> &'static str {
        match self {
            Self::Generate => "generate with the model",
            Self::Embed => "embed with the model",
            Self::Moderate => "moderate with the model",
            Self::Image => "make images with the model",
            Self::Speech => "make speech with the model",
            Self::Transcribe => "transcribe with the model",
            Self::Count => "count tokens for the model",
            Self::List => "list the models of the upstream",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Action {
    type Err = UnknownAction;

    fn from_str(text: &str) -> Result<Self, UnknownAction> {
        let found = Self::ALL.into_iter().find(|action| action.as_str() == text);
        found.ok_or_else(|| UnknownAction(text.to_owned()))
    }
}

/// One value for each action.
pub(crate) struct PerAction<T> {
    generate: T,
    embed: T,
    moderate: T,
    image: T,
    speech: T,
    transcribe: T,
    count: T,
    list: T,
}

impl<T> PerAction<T> {
    pub(crate) fn try_new<E>(mut of: impl FnMut(Action) -> Result<T, E>) -> Result<Self, E> {
        Ok(Self {
            generate: of(Action::Generate)?,
            embed: of(Action::Embed)?,
            moderate: of(Action::Moderate)?,
            image: of(Action::Image)?,
            speech: of(Action::Speech)?,
            transcribe: of(Action::Transcribe)?,
            count: of(Action::Count)?,
            list: of(Action::List)?,
        })
    }

    pub(crate) fn get(&self, action: Action) -> &T {
        match action {
            Action::Generate => &self.generate,
            Action::Embed => &self.embed,
            Action::Moderate => &self.moderate,
            Action::Image => &self.image,
            Action::Speech => &self.speech,
            Action::Transcribe => &self.transcribe,
            Action::Count => &self.count,
            Action::List => &self.list,
        }
    }

    /// The values in the order of [`Action::ALL`].
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        Action::ALL.into_iter().map(|action| self.get(action))
    }
}
