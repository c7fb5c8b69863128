//! Everything that can be asked.

use axum::{
    Router,
    extract::DefaultBodyLimit,
    handler::Handler,
    middleware::from_fn_with_state,
    routing::{MethodRouter, delete, get, patch, post, put},
};

use crate::{
    admins, agents, asks, audit, budgets, cost, entities,
    guard::guard,
    input::BODY_MAX,
    keys,
    listener::Shared,
    log_keys, operations, overruns, peps,
    problem::{Kind, Problem},
    public_log, reload, replay, retention, rules, search, simulate, sinks, upstreams,
};

/// One thing that can be asked.
pub(crate) struct Route {
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "the test that every route has its roles reads it")
    )]
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    handler: MethodRouter<Shared>,
}

fn get_<H: Handler<T, Shared>, T: 'static>(path: &'static str, handler: H) -> Route {
    Route {
        method: "GET",
        path,
        handler: get(handler),
    }
}

fn post_<H: Handler<T, Shared>, T: 'static>(path: &'static str, handler: H) -> Route {
    Route {
        method: "POST",
        path,
        handler: post(handler),
    }
}

fn put_<H: Handler<T, Shared>, T: 'static>(path: &'static str, handler: H) -> Route {
    Route {
        method: "PUT",
        path,
        handler: put(handler),
    }
}

fn patch_<H: Handler<T, Shared>, T: 'static>(path: &'static str, handler: H) -> Route {
    Route {
        method: "PATCH",
        path,
        handler: patch(handler),
    }
}

impl Route {
    /// With another bound on its bodies than the usual one.
    fn holding(self, bytes: usize) -> Self {
        Self {
            handler: self.handler.layer(DefaultBodyLimit::max(bytes)),
            ..self
        }
    }
}

fn delete_<H: Handler<T, Shared>, T: 'static>(path: &'static str, handler: H) -> Route {
    Route {
        method: "DELETE",
        path,
        handler: delete(handler),
    }
}

/// The table. Who may ask for what is tested for each line of it.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        get_("/healthz", operations::healthz),
        get_("/readyz", operations::readyz),
        get_("/metrics", operations::metrics),
        get_("/api/v1/agents", agents::list),
        get_("/api/v1/keys", keys::list),
        post_("/api/v1/keys", keys::issue),
        delete_("/api/v1/keys/{id}", keys::revoke),
        get_("/api/v1/peps", peps::list),
        get_("/api/v1/pep-keys", peps::keys),
        post_("/api/v1/pep-keys", peps::issue),
        get_("/api/v1/entities", entities::list),
        post_("/api/v1/entities/bulk", entities::bulk).holding(entities::BULK_MAX),
        get_("/api/v1/entities/{type}/{id}", entities::show),
        put_("/api/v1/entities/{type}/{id}", entities::put),
        patch_("/api/v1/entities/{type}/{id}", entities::patch),
        delete_("/api/v1/entities/{type}/{id}", entities::delete),
        get_("/api/v1/budgets", budgets::list),
        get_("/api/v1/budgets/{name}", budgets::show),
        put_("/api/v1/budgets/{name}", budgets::put),
        delete_("/api/v1/budgets/{name}", budgets::delete),
        post_("/api/v1/budgets/{name}/limit", budgets::limit),
        post_("/api/v1/budgets/{name}/pause", budgets::pause),
        post_("/api/v1/budgets/{name}/resume", budgets::resume),
        post_("/api/v1/budgets/{name}/top-up", budgets::top_up),
        get_("/api/v1/asks", asks::list),
        post_("/api/v1/asks/{action}/refuse", asks::refuse),
        post_("/api/v1/asks/{action}/top-up", asks::top_up),
        post_("/api/v1/policy/replays", replay::replay).holding(replay::BODY_MAX),
        post_("/api/v1/simulations", simulate::simulate),
        get_("/api/v1/limits", rules::limits),
        get_("/api/v1/breakers", rules::breakers),
        post_("/api/v1/breakers/reset", rules::reset),
        get_("/api/v1/cost", cost::report),
        get_("/api/v1/overruns", overruns::list),
        post_("/api/v1/overruns/accept", overruns::accept),
        get_("/api/v1/upstreams", upstreams::list),
        get_("/api/v1/sinks", sinks::list),
        get_("/api/v1/admins", admins::list),
        post_("/api/v1/admins", admins::add),
        delete_("/api/v1/admins/{name}", admins::remove),
        get_("/api/v1/log-keys", log_keys::list),
        post_("/api/v1/log-keys", log_keys::rotate),
        post_("/api/v1/log-keys/{id}/retire", log_keys::retire),
        get_("/api/v1/legal-holds", retention::holds),
        post_("/api/v1/legal-holds", retention::set),
        post_("/api/v1/legal-holds/{name}/lift", retention::lift),
        post_("/api/v1/audit/expire", retention::expire),
        post_("/api/v1/reload", reload::reload),
        get_("/api/v1/audit", audit::list),
        get_("/api/v1/audit/wait", audit::wait),
        get_("/api/v1/audit/search", search::search),
        get_("/api/v1/audit/trace/{id}", search::trace),
        get_("/api/v1/audit/index", search::index),
        post_("/api/v1/audit/reindex", search::reindex),
        get_("/api/v1/audit/{index}", audit::show),
        get_("/log/{tenant}/checkpoint", public_log::piece),
        get_("/log/{tenant}/tile/{*piece}", public_log::piece),
        get_("/log/{tenant}/handover/{key}", public_log::handover),
    ]
}

/// The table as a service.
pub(crate) fn router(shared: Shared) -> Router {
    let routes = routes().into_iter();
    let router = routes.fold(Router::new(), |router, route| router.route(route.path, route.handler));
    router
        .fallback(unknown)
        .method_not_allowed_fallback(other_method)
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .layer(from_fn_with_state(shared.clone(), guard))
        .with_state(shared)
}

async fn unknown() -> Problem {
    Problem::new(Kind::NotFound, "nothing is at this path; the API is below /api/v1")
}

async fn other_method() -> Problem {
    Problem::new(
        Kind::MethodNotAllowed,
        "the header `Allow` names the methods that this path takes",
    )
}
