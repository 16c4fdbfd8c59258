//! `--mount type=bind,source=/a,target=/b,readonly`: one line of comma separated values.

use super::mount::{Mount, Recursion, Source, check_volume_name, clean_path, clean_target, is_propagation};
use super::size;

/// The fields as they come, before it is known which type they must fit.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "what was seen of one flag")]
struct Fields {
    kind: Option<String>,
    source: Option<String>,
    target: Option<String>,
    read_only: bool,
    propagation: Option<String>,
    recursion: Option<Recursion>,
    create_source: bool,
    tmpfs_size: Option<i64>,
    tmpfs_mode: Option<u32>,
    bind_option: bool,
    volume_option: bool,
    tmpfs_option: bool,
}

/// One `--mount`.
pub fn parse(text: &str) -> Result<Mount, String> {
    let mut fields = Fields::default();
    for field in split(text)? {
        fields.take(&field)?;
    }
    fields.finish()
}

impl Fields {
    fn take(&mut self, field: &str) -> Result<(), String> {
        let (key, value) = field.split_once('=').map_or((field, None), |(k, v)| (k, Some(v)));
        let key = key.to_ascii_lowercase();
        let flag = || match value {
            None => Ok(true),
            Some(text) => boolean(text).ok_or_else(|| format!("invalid value for {key}: {text}")),
        };
        match key.as_str() {
            "readonly" | "ro" => return flag().map(|v| self.read_only = v),
            "volume-nocopy" => {
                self.volume_option = true;
                return flag().map(|_| ());
            }
            "bind-nonrecursive" => {
                self.bind_option = true;
                return flag().map(|v| self.recursion = v.then_some(Recursion::Disabled).or(self.recursion));
            }
            "bind-create-src" => {
                self.bind_option = true;
                return flag().map(|v| self.create_source = v);
            }
            _ => {}
        }
        let value = value.ok_or_else(|| format!("invalid field '{field}' must be a key=value pair"))?;
        let wrong = || format!("invalid value for {key}: {value}");
        match key.as_str() {
            "type" => self.kind = Some(value.to_ascii_lowercase()),
            "source" | "src" => self.source = Some(value.to_owned()),
            "target" | "dst" | "destination" => self.target = Some(value.to_owned()),
            "consistency" => {}
            "bind-propagation" => {
                self.bind_option = true;
                self.propagation = Some(value.to_ascii_lowercase()).filter(|p| is_propagation(p));
                self.propagation.as_ref().ok_or_else(wrong)?;
            }
            "bind-recursive" => {
                self.bind_option = true;
                self.recursion = Some(match value {
                    "enabled" => Recursion::Enabled,
                    "disabled" => Recursion::Disabled,
                    "writable" => Recursion::Writable,
                    "readonly" => Recursion::Readonly,
                    _ => return Err(wrong()),
                });
            }
            "volume-driver" => {
                self.volume_option = true;
                if value != "local" {
                    return Err(format!(
                        "volume driver \"{value}\" is not there: the one driver is \"local\""
                    ));
                }
            }
            "volume-label" => self.volume_option = true,
            "tmpfs-size" => {
                self.tmpfs_option = true;
                self.tmpfs_size = Some(size::bytes(value).map_err(|_| wrong())?);
            }
            "tmpfs-mode" => {
                self.tmpfs_option = true;
                self.tmpfs_mode =
                    Some(u32::from_str_radix(value, 8).ok().filter(|m| *m <= 0o7777).ok_or_else(wrong)?);
            }
            _ => return Err(format!("unexpected key '{key}' in '{field}'")),
        }
        Ok(())
    }

    fn finish(self) -> Result<Mount, String> {
        let kind = self.kind.as_deref().unwrap_or("volume");
        let mixed = |prefix: &str| Err(format!("cannot mix '{prefix}-*' options with mount type '{kind}'"));
        if self.bind_option && kind != "bind" {
            return mixed("bind");
        }
        if self.volume_option && kind != "volume" {
            return mixed("volume");
        }
        if self.tmpfs_option && kind != "tmpfs" {
            return mixed("tmpfs");
        }
        let target = self.target.as_deref().filter(|t| !t.is_empty()).ok_or("target is required")?;
        let config = |why: &str| format!("invalid mount config for type \"{kind}\": {why}");
        let target = clean_target(target).map_err(|e| config(&e))?;
        let source = self.source.filter(|s| !s.is_empty());
        let source = match kind {
            "bind" => {
                let path = source.ok_or_else(|| config("field Source must not be empty"))?;
                if !path.starts_with('/') {
                    return Err(config(&format!("invalid mount path: '{path}' mount path must be absolute")));
                }
                let recursion = self.recursion.unwrap_or(Recursion::Enabled);
                check_recursion(recursion, self.read_only, self.propagation.as_deref())?;
                Source::Bind {
                    path: clean_path(&path),
                    create: self.create_source,
                    recursion,
                    propagation: self.propagation,
                }
            }
            "volume" => {
                if let Some(name) = &source {
                    check_volume_name(name)?;
                }
                Source::Volume { name: source }
            }
            "tmpfs" => {
                if source.is_some() {
                    return Err(config("field Source must not be specified"));
                }
                let size = self.tmpfs_size.filter(|s| *s > 0).map(|s| format!("size={s}"));
                let mode = self.tmpfs_mode.map(|m| format!("mode={m:o}"));
                Source::Tmpfs { options: size.into_iter().chain(mode).collect() }
            }
            _ => return Err(format!("invalid mount config: mount type unknown: \"{kind}\"")),
        };
        Ok(Mount { target, read_only: self.read_only, source })
    }
}

/// Docker's conditions on `bind-recursive`.
fn check_recursion(recursion: Recursion, read_only: bool, propagation: Option<&str>) -> Result<(), String> {
    match recursion {
        Recursion::Writable if !read_only => {
            Err("option 'bind-recursive=writable' requires 'readonly' to be specified in conjunction".to_owned())
        }
        Recursion::Readonly if !read_only => {
            Err("option 'bind-recursive=readonly' requires 'readonly' to be specified in conjunction".to_owned())
        }
        Recursion::Readonly if propagation != Some("rprivate") => Err(
            "option 'bind-recursive=readonly' requires 'bind-propagation=rprivate' to be specified in conjunction"
                .to_owned(),
        ),
        _ => Ok(()),
    }
}

/// Go's `strconv.ParseBool`.
pub fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

/// The fields of one CSV line; a field in double quotes may hold commas, `""` in it is a quote.
fn split(line: &str) -> Result<Vec<String>, String> {
    let mut fields = Vec::new();
    let mut rest = line;
    loop {
        let (field, after) = if let Some(quoted) = rest.strip_prefix('"') {
            quoted_field(quoted).ok_or_else(|| format!("invalid mount '{line}': a quote is not closed"))?
        } else {
            let end = rest.find(',').unwrap_or(rest.len());
            if rest[..end].contains('"') {
                return Err(format!("invalid mount '{line}': a quote inside an unquoted field"));
            }
            (rest[..end].to_owned(), &rest[end..])
        };
        fields.push(field);
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None if after.is_empty() => return Ok(fields),
            None => return Err(format!("invalid mount '{line}': text after a closed quote")),
        }
    }
}

/// Content up to the closing quote, and what comes after it.
fn quoted_field(text: &str) -> Option<(String, &str)> {
    let mut field = String::new();
    let mut rest = text;
    loop {
        let end = rest.find('"')?;
        field.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix('"') {
            Some(next) => {
                field.push('"');
                rest = next;
            }
            None => return Some((field, rest)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn bind(recursion: Recursion, propagation: Option<&str>, read_only: bool) -> Mount {
        Mount {
            target: "/b".to_owned(),
            read_only,
            source: Source::Bind {
                path: "/a".to_owned(),
                create: false,
                recursion,
                propagation: propagation.map(str::to_owned),
            },
        }
    }

    #[rstest]
    #[case("type=bind,source=/a,target=/b", bind(Recursion::Enabled, None, false))]
    #[case("type=bind,src=/a,dst=/b,ro", bind(Recursion::Enabled, None, true))]
    #[case("type=bind,src=/a,destination=/b,readonly=1", bind(Recursion::Enabled, None, true))]
    #[case("type=BIND,src=/a,dst=/b,readonly=false", bind(Recursion::Enabled, None, false))]
    #[case(
        "type=bind,src=/a,dst=/b,bind-propagation=rslave",
        bind(Recursion::Enabled, Some("rslave"), false)
    )]
    #[case("type=bind,src=/a,dst=/b,bind-nonrecursive", bind(Recursion::Disabled, None, false))]
    #[case("type=bind,src=/a,dst=/b,ro,bind-recursive=writable", bind(Recursion::Writable, None, true))]
    fn binds(#[case] text: &str, #[case] want: Mount) {
        assert_eq!(parse(text), Ok(want));
    }

    #[test]
    fn volumes_and_tmpfs() {
        let got = |text| parse(text).map(|m| m.source);
        assert_eq!(got("src=data,dst=/b"), Ok(Source::Volume { name: Some("data".to_owned()) }));
        assert_eq!(got("dst=/b"), Ok(Source::Volume { name: None }));
        assert_eq!(
            got("type=tmpfs,dst=/b,tmpfs-size=1m,tmpfs-mode=1770"),
            Ok(Source::Tmpfs { options: vec!["size=1048576".to_owned(), "mode=1770".to_owned()] })
        );
        assert_eq!(
            got("type=bind,\"src=/a,b\",dst=/x"),
            Ok(Source::Bind {
                path: "/a,b".to_owned(),
                create: false,
                recursion: Recursion::Enabled,
                propagation: None
            })
        );
    }

    #[rstest]
    #[case("", "invalid field '' must be a key=value pair")]
    #[case("type=bind,src=/a", "target is required")]
    #[case("type=bind,dst=/a", "invalid mount config for type \"bind\": field Source must not be empty")]
    #[case(
        "type=bind,src=a,dst=/b",
        "invalid mount config for type \"bind\": invalid mount path: 'a' mount path must be absolute"
    )]
    #[case(
        "type=bind,src=/a,dst=b",
        "invalid mount config for type \"bind\": invalid mount path: 'b' mount path must be absolute"
    )]
    #[case("type=foo,dst=/b", "invalid mount config: mount type unknown: \"foo\"")]
    #[case("type=volume,foo=bar,dst=/b", "unexpected key 'foo' in 'foo=bar'")]
    #[case("type=bind,src=/a,dst=/b,foo", "invalid field 'foo' must be a key=value pair")]
    #[case("type=volume,dst=/b,readonly=no", "invalid value for readonly: no")]
    #[case(
        "type=volume,dst=/b,bind-propagation=rprivate",
        "cannot mix 'bind-*' options with mount type 'volume'"
    )]
    #[case("type=bind,src=/a,dst=/b,volume-nocopy", "cannot mix 'volume-*' options with mount type 'bind'")]
    #[case("type=bind,src=/a,dst=/b,tmpfs-size=1m", "cannot mix 'tmpfs-*' options with mount type 'bind'")]
    #[case(
        "type=tmpfs,src=/a,dst=/b",
        "invalid mount config for type \"tmpfs\": field Source must not be specified"
    )]
    #[case("type=tmpfs,dst=/b,tmpfs-mode=9", "invalid value for tmpfs-mode: 9")]
    #[case(
        "type=bind,src=/a,dst=/b,bind-recursive=readonly",
        "option 'bind-recursive=readonly' requires 'readonly' to be specified in conjunction"
    )]
    #[case("type=bind,\"src=/a,dst=/b", "invalid mount 'type=bind,\"src=/a,dst=/b': a quote is not closed")]
    fn bad(#[case] text: &str, #[case] want: &str) {
        assert_eq!(parse(text), Err(want.to_owned()));
    }
}
