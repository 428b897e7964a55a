//! The outbound proxy, for networks that allow no direct connections to the internet.
//!
//! It is used only if the configuration says so, because it weakens the address rule: the proxy
//! resolves the name again and connects, so the address that is connected to cannot be checked.
//! The name's own addresses are checked here before each request, as far as this machine can
//! resolve it.

use std::fmt;

use reqwest::NoProxy;
use url::Url;

/// A proxy, as `HTTPS_PROXY` and `NO_PROXY` describe it.
#[derive(Clone)]
pub(crate) struct OutboundProxy {
    url: Url,
    except: String,
}

/// Why there is no proxy to use, and what to do. Never contains the URL, which may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutboundProxyError {
    /// The variable is not set.
    #[error("outbound_proxy is true, and HTTPS_PROXY is not set: set it to http://HOST:PORT")]
    Unset,
    /// The variable holds something else.
    #[error("HTTPS_PROXY is not the URL of a proxy: write http://HOST:PORT")]
    NoUrl,
}

impl OutboundProxy {
    /// Reads the variables that most tools read, also in lower case.
    pub(crate) fn from_variables(
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, OutboundProxyError> {
        let read = |upper: &str| {
            let set = |name: &str| env(name).filter(|value| !value.is_empty());
            set(upper).or_else(|| set(&upper.to_ascii_lowercase()))
        };
        let url = read("HTTPS_PROXY").ok_or(OutboundProxyError::Unset)?;
        let url = Url::parse(&url)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .ok_or(OutboundProxyError::NoUrl)?;
        Ok(Self {
            url,
            except: read("NO_PROXY").unwrap_or_default(),
        })
    }

    /// The host of the proxy, which may have any address.
    pub(super) fn host(&self) -> Option<&str> {
        self.url.host_str()
    }

    /// The proxy for a client.
    pub(super) fn proxy(&self) -> Result<reqwest::Proxy, reqwest::Error> {
        let proxy = reqwest::Proxy::https(self.url.clone())?;
        Ok(proxy.no_proxy(NoProxy::from_string(&self.except)))
    }
}

impl fmt::Debug for OutboundProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.host().unwrap_or_default();
        f.debug_struct("OutboundProxy")
            .field("host", &host)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::{
        OutboundProxyError::{NoUrl, Unset},
        *,
    };

    #[test]
    fn the_proxy_is_read_from_variables_and_its_password_is_not_printed() {
        for (name, value, outcome) in [
            (
                "HTTPS_PROXY",
                "http://me:hunter2@proxy.example:3128",
                Ok(()),
            ),
            ("https_proxy", "http://proxy.example:3128", Ok(())),
            ("HTTPS_PROXY", "", Err(Unset)),
            ("HTTP_PROXY", "http://a.example", Err(Unset)),
            ("HTTPS_PROXY", "proxy.example:3128", Err(NoUrl)),
            ("HTTPS_PROXY", "socks5://proxy.example", Err(NoUrl)),
        ] {
            let env = |requested: &str| (requested == name).then(|| value.to_owned());
            let read = OutboundProxy::from_variables(&env);
            assert!(!format!("{read:?}").contains("hunter2"));
            assert_eq!(read.map(drop), outcome, "{name}={value}");
        }
    }
}
