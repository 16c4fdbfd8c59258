//! `sandbox system df`.

use sandbox_engine::{ContainerUsage, DiskUsage, VolumeUsage};
use sandbox_image::{ImageUsage, Reference};
use sandbox_template::{Data, Shape, Struct, Template};
use serde_json::{Value, json};

use crate::commands::image::list::{self as images, created_since};
use crate::failure::Failure;
use crate::flags::Global;
use crate::flags::system::DfFlags;
use crate::format::list::{self, Format, Kind, Row};
use crate::format::{self, container, size};

const TABLE: &str = "table {{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}";
const IMAGES: &str = "table {{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}\t{{.SharedSize}}\t{{.UniqueSize}}\t{{.Containers}}";
const CONTAINERS: &str = "table {{.ID}}\t{{.Image}}\t{{.Command}}\t{{.LocalVolumes}}\t{{.Size}}\t{{.RunningFor}}\t{{.Status}}\t{{.Names}}";
const VOLUMES: &str = "table {{.Name}}\t{{.Links}}\t{{.Size}}";
const BUILD_CACHE: &str = "table {{.ID}}\t{{.CacheType}}\t{{.Size}}\t{{.CreatedSince}}\t{{.LastUsedSince}}\t{{.UsageCount}}\t{{.Shared}}";

const ROW: Struct = list::row("*formatter.diskUsageContext");
const KIND: Kind = Kind {
    shape: &Shape::Struct(&ROW),
    headers: &[
        ("Type", "TYPE"),
        ("TotalCount", "TOTAL"),
        ("Active", "ACTIVE"),
        ("Size", "SIZE"),
        ("Reclaimable", "RECLAIMABLE"),
    ],
};

const VOLUME_ROW: Struct = list::row("*formatter.volumeContext");
const VOLUME_KIND: Kind = Kind {
    shape: &Shape::Struct(&VOLUME_ROW),
    headers: &[("Name", "VOLUME NAME"), ("Links", "LINKS"), ("Size", "SIZE")],
};

const CACHE_ROW: Struct = list::row("*formatter.buildCacheContext");
const CACHE_KIND: Kind = Kind {
    shape: &Shape::Struct(&CACHE_ROW),
    headers: &[
        ("ID", "CACHE ID"),
        ("CacheType", "CACHE TYPE"),
        ("Size", "SIZE"),
        ("CreatedSince", "CREATED"),
        ("LastUsedSince", "LAST USED"),
        ("UsageCount", "USAGE"),
        ("Shared", "SHARED"),
    ],
};

pub(in crate::commands) fn run(global: &Global, flags: &DfFlags) -> Result<u8, Failure> {
    // A template that cannot be parsed is told before everything is counted.
    let format = Format::parse(flags.format.as_deref(), TABLE).map_err(Failure::plain)?;
    let usage = crate::commands::engine(global)?.disk_usage()?;
    let now_s = sandbox_engine::realtime_ns() / 1_000_000_000;
    let text = match (flags.verbose, flags.format.as_deref()) {
        (false, _) => format.render(KIND, &summary(&usage)),
        (true, None | Some("" | "table")) => details(&usage, now_s),
        (true, Some(template)) => with_template(template, &usage, now_s),
    };
    format::print(&text.map_err(Failure::plain)?)?;
    Ok(0)
}

fn summary(usage: &DiskUsage) -> [Row; 4] {
    let images = &usage.images;
    let stopped = usage.containers.iter().filter(|container| !container.is_active());
    let unused = usage.volumes.iter().filter(|volume| volume.links == 0);
    let sum = |sizes: &mut dyn Iterator<Item = u64>| sizes.fold(0, u64::saturating_add);
    [
        total("Images", images.images.len(), images.active, images.size, images.reclaimable),
        total(
            "Containers",
            usage.containers.len(),
            usage.containers.iter().filter(|container| container.is_active()).count(),
            sum(&mut usage.containers.iter().map(|container| container.size)),
            sum(&mut stopped.map(|container| container.size)),
        ),
        total(
            "Local Volumes",
            usage.volumes.len(),
            usage.volumes.iter().filter(|volume| volume.links > 0).count(),
            sum(&mut usage.volumes.iter().map(|volume| volume.size)),
            sum(&mut unused.map(|volume| volume.size)),
        ),
        total("Build Cache", 0, 0, 0, 0),
    ]
}

fn total(kind: &str, count: usize, active: usize, bytes: u64, reclaimable: u64) -> Row {
    let free = size::decimal(reclaimable, 4);
    let percent = u128::from(reclaimable) * 100 / u128::from(bytes.max(1));
    Row::new([
        ("Active", active.to_string()),
        ("Reclaimable", if bytes > 0 { format!("{free} ({percent}%)") } else { free }),
        ("Size", size::decimal(bytes, 4)),
        ("TotalCount", count.to_string()),
        ("Type", kind.to_owned()),
    ])
}

/// `-v`: everything one by one.
fn details(usage: &DiskUsage, now_s: i64) -> Result<String, String> {
    let section = |format: &str, kind: Kind, rows: &[Row]| Format::parse(None, format)?.render(kind, rows);
    let Rows { images, containers, volumes } = rows(usage, now_s);
    Ok([
        "Images space usage:\n\n",
        &section(IMAGES, images::KIND, &images)?,
        "\nContainers space usage:\n\n",
        &section(CONTAINERS, container::KIND, &containers)?,
        "\nLocal Volumes space usage:\n\n",
        &section(VOLUMES, VOLUME_KIND, &volumes)?,
        "\nBuild cache usage: 0B\n\n",
        &section(BUILD_CACHE, CACHE_KIND, &[])?,
    ]
    .concat())
}

/// `-v --format`: one template on everything.
fn with_template(template: &str, usage: &DiskUsage, now_s: i64) -> Result<String, String> {
    let wrong = |error| format!("template parsing error: {error}");
    let text = if template == "json" { "{{json .}}\n" } else { template };
    let Rows { images, containers, volumes } = rows(usage, now_s);
    let values = |rows: Vec<Row>| -> Vec<Value> { rows.into_iter().map(Row::into_value).collect() };
    let all = json!({
        "Images": values(images),
        "Containers": values(containers),
        "Volumes": values(volumes),
        "BuildCache": [],
    });
    let template = Template::parse(text).map_err(wrong)?;
    template.execute(&Data::new(&all)).map_err(wrong)
}

struct Rows {
    images: Vec<Row>,
    containers: Vec<Row>,
    volumes: Vec<Row>,
}

fn rows(usage: &DiskUsage, now_s: i64) -> Rows {
    Rows {
        images: usage.images.images.iter().map(|image| image_row(image, now_s)).collect(),
        containers: usage.containers.iter().map(|container| container_row(container, now_s)).collect(),
        volumes: usage.volumes.iter().map(volume_row).collect(),
    }
}

fn image_row(image: &ImageUsage, now_s: i64) -> Row {
    let none = || "<none>".to_owned();
    let name = image.names.first();
    Row::new([
        ("Containers", image.containers.to_string()),
        ("CreatedSince", created_since(image.created, now_s)),
        ("ID", image.id.short().to_owned()),
        ("Repository", name.map_or_else(none, Reference::familiar_name)),
        ("SharedSize", size::decimal(image.shared, 4)),
        ("Size", size::decimal(image.size, 3)),
        ("Tag", name.and_then(Reference::tag).map_or_else(none, str::to_owned)),
        ("UniqueSize", size::decimal(image.unique, 4)),
    ])
}

fn container_row(usage: &ContainerUsage, now_s: i64) -> Row {
    let container = &usage.view.container;
    Row::new([
        ("Command", container::command(&usage.command, false)),
        ("ID", container.id.chars().take(12).collect()),
        ("Image", container.image_name.clone()),
        ("LocalVolumes", usage.volumes.to_string()),
        ("Names", container.name.clone()),
        ("RunningFor", container::running_for(&usage.view, now_s)),
        ("Size", size::decimal(usage.size, 3)),
        ("Status", container::status(&usage.view, now_s)),
    ])
}

fn volume_row(volume: &VolumeUsage) -> Row {
    Row::new([
        ("Links", volume.links.to_string()),
        ("Name", volume.name.clone()),
        ("Size", size::decimal(volume.size, 4)),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use sandbox_image::Usage;

    fn usage() -> DiskUsage {
        let digest = |c: char| format!("sha256:{}", c.to_string().repeat(64)).parse().unwrap();
        let image = |c, name: &str, containers| ImageUsage {
            id: digest(c),
            names: vec![name.parse().unwrap()],
            created: Some(1_000_000),
            size: 8_310_000,
            shared: 8_000_000,
            unique: 310_000,
            containers,
        };
        let container = |state, size| ContainerUsage {
            view: container::tests::example(state),
            command: vec!["sh".to_owned(), "-c".to_owned(), "sleep 1000".to_owned()],
            size,
            volumes: 1,
        };
        let volume = |name: &str, size, links| VolumeUsage { name: name.to_owned(), size, links };
        DiskUsage {
            images: Usage {
                images: vec![image('a', "alpine", 2), image('b', "localhost:5000/app:v1", 0)],
                active: 1,
                size: 16_620_000,
                reclaimable: 11_630_000,
                blobs: 0,
                leftovers: 0,
            },
            containers: vec![
                container(sandbox_engine::state::containers::State::Running, 100),
                container(sandbox_engine::state::containers::State::Exited, 50),
            ],
            volumes: vec![volume("data", 2_000_000_000, 1), volume("old", 0, 0)],
        }
    }

    #[test]
    fn the_table() {
        let format = Format::parse(None, TABLE).unwrap();
        assert_eq!(
            format.render(KIND, &summary(&usage())).unwrap(),
            "TYPE            TOTAL     ACTIVE    SIZE      RECLAIMABLE\n\
             Images          2         1         16.62MB   11.63MB (69%)\n\
             Containers      2         1         150B      50B (33%)\n\
             Local Volumes   2         1         2GB       0B (0%)\n\
             Build Cache     0         0         0B        0B\n"
        );
        let json = Format::parse(Some("json"), TABLE).unwrap().render(KIND, &summary(&usage())).unwrap();
        assert_eq!(
            json.lines().next().unwrap(),
            "{\"Active\":\"1\",\"Reclaimable\":\"11.63MB (69%)\",\"Size\":\"16.62MB\",\"TotalCount\":\"2\",\
             \"Type\":\"Images\"}"
        );
    }

    #[test]
    fn one_by_one() {
        let now_s = 1_000_000 + 3 * 7 * 86400;
        assert_eq!(
            details(&usage(), now_s).unwrap(),
            "Images space usage:\n\n\
             REPOSITORY           TAG       IMAGE ID       CREATED       SIZE      SHARED SIZE   UNIQUE SIZE   CONTAINERS\n\
             alpine               latest    aaaaaaaaaaaa   3 weeks ago   8.31MB    8MB           310kB         2\n\
             localhost:5000/app   v1        bbbbbbbbbbbb   3 weeks ago   8.31MB    8MB           310kB         0\n\
             \nContainers space usage:\n\n\
             CONTAINER ID   IMAGE     COMMAND                LOCAL VOLUMES   SIZE      CREATED       STATUS                   NAMES\n\
             cccccccccccc   alpine    \"sh -c 'sleep 1000'\"   1               100B      2 weeks ago   Up 2 weeks               web\n\
             cccccccccccc   alpine    \"sh -c 'sleep 1000'\"   1               50B       2 weeks ago   Exited (3) 2 weeks ago   web\n\
             \nLocal Volumes space usage:\n\n\
             VOLUME NAME   LINKS     SIZE\n\
             data          1         2GB\n\
             old           0         0B\n\
             \nBuild cache usage: 0B\n\n\
             CACHE ID   CACHE TYPE   SIZE      CREATED   LAST USED   USAGE     SHARED\n"
        );
        let text = with_template("{{range .Images}}{{.Repository}} {{.Containers}};{{end}}", &usage(), now_s);
        assert_eq!(text.unwrap(), "alpine 2;localhost:5000/app 0;");
    }
}
