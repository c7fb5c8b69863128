//! Who may do this, with what, and what may be done?

use std::sync::Arc;

use authzen::{Answer, Page, Search, Target};
use entry::{Decided, DecidedCall, DecidedItem, Decision, Found as Recorded, PepRight};
use policy::{ActionSearch, Found, Party, Query, ResourceSearch, SubjectSearch};

use super::{Grounds, PepAnswer, PepError, PepSession, evaluate::party, page::Place};
use crate::Control;

/// How many candidates are looked at for one page at most: a page that ends there says where to go on.
const CANDIDATES: usize = 20_000;

impl Control {
    /// Answers a search.
    ///
    /// # Errors
    /// Why there is no answer. That nothing was found is an answer.
    pub async fn search(&self, session: &PepSession, search: Search) -> Result<PepAnswer, PepError> {
        session.require(PepRight::Search)?;
        let search = Arc::new(search);
        self.answered(session, question(&search).0, |grounds| {
            let (control, search) = (self.clone(), search.clone());
            async move { self.aside(move || control.searched(&grounds, &search)).await? }
        })
        .await
    }

    fn searched(&self, grounds: &Grounds, search: &Search) -> Result<(Decided, Answer), PepError> {
        let place = Place::of(search, &grounds.name, self.privacy())?;
        let most = self.inner.authzen.page_size;
        let limit = place.limit.and_then(|limit| usize::try_from(limit).ok());
        let limit = limit.unwrap_or(most).min(most);
        let found = match limit {
            // Nothing is wanted, and nothing follows it.
            0 => Found::default(),
            limit => grounds.find(
                search,
                policy::Page {
                    after: place.after.as_deref(),
                    limit,
                    candidates: CANDIDATES,
                },
            ),
        };
        let count = u64::try_from(found.names.len()).unwrap_or(u64::MAX);
        let next_token = found.next.as_ref().map(|last| {
            let next = Place {
                after: Some(last.clone()),
                before: place.before.saturating_add(count),
                limit: place.limit,
            };
            next.token(search, &grounds.name, self.privacy())
        });
        let next_token = next_token.transpose()?;
        let page = (search.page.is_some() || next_token.is_some()).then(|| Page {
            next_token: next_token.clone().unwrap_or_default(),
            count,
        });
        let decided = self.found(grounds, search, &place, &found);
        let found = match &search.target {
            Target::Subject { kind, .. } | Target::Resource { kind, .. } => authzen::Found::Entities {
                kind: kind.clone(),
                ids: found.names,
            },
            Target::Action { .. } => authzen::Found::Actions(found.names),
        };
        Ok((decided, Answer::Search { page, found }))
    }

    /// The entry of a search: what was asked, and what was found.
    fn found(&self, grounds: &Grounds, search: &Search, place: &Place, found: &Found) -> Decided {
        let (call, query) = question(search);
        let pseudonym = |kind: &str, id: &String| {
            let one = Query {
                subject: Party {
                    kind,
                    id,
                    properties: None,
                },
                ..query
            };
            self.recorded(grounds, &one).subject_id
        };
        let names = match &search.target {
            Target::Subject { kind, .. } | Target::Resource { kind, .. } => {
                found.names.iter().map(|id| pseudonym(kind, id)).collect()
            }
            Target::Action { .. } => found.names.clone(),
        };
        let mut item = DecidedItem {
            outcome: if found.names.is_empty() {
                Decision::Deny
            } else {
                Decision::Permit
            },
            code: if found.names.is_empty() {
                "nothing_found"
            } else {
                "found"
            }
            .to_owned(),
            ..replay::recorded(self.recorded(grounds, &query))
        };
        match call {
            DecidedCall::SearchSubject => item.subject = item.subject.map(|party| entry::Party { id: None, ..party }),
            DecidedCall::SearchResource => {
                item.resource = item.resource.map(|party| entry::Party { id: None, ..party })
            }
            _ => item.action = None,
        }
        let mut decided = self.decided(grounds, call);
        decided.items.push(item);
        let count = u64::try_from(found.names.len()).unwrap_or(u64::MAX);
        decided.found = Some(Recorded {
            total: place.before.saturating_add(count),
            before: place.before,
            names,
            digest: None,
        });
        decided
    }
}

impl Grounds {
    fn find(&self, search: &Search, page: policy::Page<'_>) -> Found {
        let context = search.context.as_deref();
        match &search.target {
            Target::Subject {
                kind,
                properties,
                action,
                resource,
            } => {
                let search = SubjectSearch {
                    kind,
                    properties: properties.as_ref(),
                    action: &action.name,
                    action_properties: action.properties.as_ref(),
                    resource: party(resource),
                    context,
                };
                self.bundle().search_subject(&search, page)
            }
            Target::Resource {
                kind,
                properties,
                subject,
                action,
            } => {
                let search = ResourceSearch {
                    subject: party(subject),
                    action: &action.name,
                    action_properties: action.properties.as_ref(),
                    kind,
                    properties: properties.as_ref(),
                    context,
                };
                self.bundle().search_resource(&search, page)
            }
            Target::Action { subject, resource } => {
                let search = ActionSearch {
                    subject: party(subject),
                    resource: party(resource),
                    context,
                };
                self.bundle().search_action(&search, page)
            }
        }
    }
}

/// The search as a question with nothing in the place of what is searched for.
fn question(search: &Search) -> (DecidedCall, Query<'_>) {
    let sought = |kind, properties| Party {
        kind,
        id: "",
        properties,
    };
    let (call, subject, action, resource) = match &search.target {
        Target::Subject {
            kind,
            properties,
            action,
            resource,
        } => {
            let subject = sought(kind.as_str(), properties.as_ref());
            (DecidedCall::SearchSubject, subject, Some(action), party(resource))
        }
        Target::Resource {
            kind,
            properties,
            subject,
            action,
        } => {
            let resource = sought(kind.as_str(), properties.as_ref());
            (DecidedCall::SearchResource, party(subject), Some(action), resource)
        }
        Target::Action { subject, resource } => (DecidedCall::SearchAction, party(subject), None, party(resource)),
    };
    let query = Query {
        subject,
        action: action.map_or("", |action| &action.name),
        action_properties: action.and_then(|action| action.properties.as_ref()),
        resource,
        context: search.context.as_deref(),
        approved: false,
    };
    (call, query)
}
