//! The frame of every page: the navigation, the search box and the theme.

use axum::http::{HeaderMap, Uri, header};

use super::{inbox::ConsoleInbox, state::ConsoleState};
use pillarbox::telemetry::visible;

/// The cookie that keeps the theme. Cookies belong to a host and not to a port, so their names have
/// a prefix.
pub(super) const THEME_COOKIE: &str = "pillarbox_theme";
/// The cookie that keeps whether single keys are shortcuts.
pub(super) const SHORTCUTS_COOKIE: &str = "pillarbox_shortcuts";

/// The part of the console that a page belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ConsoleSection {
    Overview,
    Notifications,
    Refusals,
    Audit,
    Charts,
    Other,
}

/// The colours of the pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ColourTheme {
    /// As the browser is set.
    System,
    Light,
    Dark,
}

/// What the layout shows around a page.
#[derive(Clone, Debug)]
pub(super) struct PageFrame {
    pub(super) section: ConsoleSection,
    pub(super) theme: ColourTheme,
    /// Whether single keys are shortcuts.
    pub(super) shortcuts: bool,
    /// For the forms of the page.
    pub(super) csrf: String,
    /// The address to come back to after a form of the layout.
    pub(super) here: String,
    /// The name of the inbox, for a person.
    pub(super) inbox: String,
    pub(super) changes_allowed: bool,
    /// Whether samples can be sent.
    pub(super) has_samples: bool,
    /// Whether browsers sign in, and so can sign out.
    pub(super) has_sign_in: bool,
    /// The text in the search box.
    pub(super) search: String,
    /// Whether the navigation is shown: not to requests for another host, nor before signing in.
    pub(super) is_admitted: bool,
}

impl PageFrame {
    pub(super) fn of<I: ConsoleInbox>(
        state: &ConsoleState<I>,
        uri: &Uri,
        headers: &HeaderMap,
        is_read: bool,
    ) -> Self {
        let here = uri.path_and_query().map_or("/", |target| target.as_str());
        Self {
            section: ConsoleSection::of(uri.path()),
            theme: ColourTheme::of(cookie(headers, THEME_COOKIE)),
            shortcuts: cookie(headers, SHORTCUTS_COOKIE) != Some("off"),
            csrf: state.csrf.as_str().to_owned(),
            here: if is_read { here } else { "/" }.to_owned(),
            inbox: visible(&state.settings.inbox_name).into_owned(),
            changes_allowed: state.changes_allowed(),
            has_samples: !state.settings.samples.is_empty(),
            has_sign_in: state.settings.token.is_some(),
            search: String::new(),
            is_admitted: true,
        }
    }

    /// The links of the navigation: whether it is the page's own, its address, its name.
    pub(super) fn links(&self) -> [(bool, &'static str, &'static str); 5] {
        ConsoleSection::LINKS
            .map(|(section, address, name)| (self.section == section, address, name))
    }

    /// The themes to choose from: whether it is chosen, its name in the form, its name.
    pub(super) fn themes(&self) -> [(bool, &'static str, &'static str); 3] {
        ColourTheme::CHOICES.map(|(theme, value, name)| (self.theme == theme, value, name))
    }
}

impl ConsoleSection {
    /// The sections with a link, and their addresses.
    const LINKS: [(Self, &'static str, &'static str); 5] = [
        (Self::Overview, "/", "Overview"),
        (Self::Notifications, "/notifications", "Notifications"),
        (Self::Refusals, "/refusals", "Refused requests"),
        (Self::Audit, "/audit", "Audit"),
        (Self::Charts, "/charts", "Charts"),
    ];

    fn of(path: &str) -> Self {
        let first = path.split('/').nth(1).unwrap_or_default();
        let link = Self::LINKS
            .into_iter()
            .find(|(_, address, _)| address[1..] == *first);
        link.map_or(Self::Other, |(section, ..)| section)
    }
}

impl ColourTheme {
    /// The themes to choose from, with their names in forms and for people.
    const CHOICES: [(Self, &'static str, &'static str); 3] = [
        (Self::System, "system", "System"),
        (Self::Light, "light", "Light"),
        (Self::Dark, "dark", "Dark"),
    ];

    /// The theme of a cookie; that of the system if there is none.
    pub(super) fn of(name: Option<&str>) -> Self {
        let chosen = name.and_then(Self::find);
        chosen.map_or(Self::System, |(theme, _)| theme)
    }

    /// The theme with this name in forms, and the name.
    pub(super) fn find(name: &str) -> Option<(Self, &'static str)> {
        let mut choices = Self::CHOICES.into_iter();
        choices.find_map(|(theme, known, _)| (known == name).then_some((theme, known)))
    }

    /// Its class in the style sheet.
    pub(super) fn class(self) -> &'static str {
        match self {
            Self::System => "theme-system",
            Self::Light => "theme-light",
            Self::Dark => "theme-dark",
        }
    }
}

/// The value of a cookie.
pub(super) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let given = headers.get_all(header::COOKIE).iter();
    given
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(given, value)| (given == name).then_some(value))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn a_path_belongs_to_a_section() {
        for (path, section) in [
            ("/", ConsoleSection::Overview),
            ("/notifications", ConsoleSection::Notifications),
            ("/notifications/pay%3Am1/raw", ConsoleSection::Notifications),
            ("/refusals", ConsoleSection::Refusals),
            ("/audit", ConsoleSection::Audit),
            ("/charts", ConsoleSection::Charts),
            ("/search", ConsoleSection::Other),
            ("//", ConsoleSection::Overview),
            ("*", ConsoleSection::Overview),
        ] {
            assert_eq!(ConsoleSection::of(path), section, "{path}");
        }
    }

    #[test]
    fn a_cookie_is_found_among_others() {
        let mut headers = HeaderMap::new();
        for given in ["a=1; pillarbox_theme=dark", "b=2"] {
            headers.append(header::COOKIE, HeaderValue::from_static(given));
        }
        for (name, value) in [
            (THEME_COOKIE, Some("dark")),
            ("a", Some("1")),
            ("b", Some("2")),
            ("theme", None),
        ] {
            assert_eq!(cookie(&headers, name), value, "{name}");
        }
        for (name, theme) in [
            (Some("dark"), ColourTheme::Dark),
            (Some("light"), ColourTheme::Light),
            (Some("system"), ColourTheme::System),
            (Some("\"><script>"), ColourTheme::System),
            (None, ColourTheme::System),
        ] {
            assert_eq!(ColourTheme::of(name), theme, "{name:?}");
        }
    }
}
