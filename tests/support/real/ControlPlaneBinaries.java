import io.fabric8.kubeapitest.binary.BinaryDownloader;
import io.fabric8.kubeapitest.binary.OSInfo;
import java.io.File;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

/**
 * A folder with the programs of a control plane. They are taken from what is installed ({@code KUBEBUILDER_ASSETS}, the folders
 * of setup-envtest and kube-api-test, this project's cache), else downloaded as kube-api-test does, else built by Go from pinned
 * modules: {@code tests/control-plane/build.sh}.
 *
 * @param folder holds etcd, kube-apiserver and kubectl, and perhaps kube-controller-manager
 */
record ControlPlaneBinaries(Path folder) {
    /** What the download asks for: any patch release, since not every one is published for download. */
    private static final String DOWNLOAD_VERSION = "1.37.*";
    private static final List<String> REQUIRED = List.of("etcd", "kube-apiserver", "kubectl");
    private static final String CONTROLLER_MANAGER = "kube-controller-manager";

    /** Thrown with a reason that says what was tried when programs are not to be had. */
    static final class Unavailable extends Exception {
        private static final long serialVersionUID = 1;

        Unavailable(String message) {
            super(message);
        }
    }

    /** Finds the programs or provides them, which may take minutes; tells on the error output which ones it uses. */
    static ControlPlaneBinaries find() throws Unavailable {
        Optional<Path> folder = installed();
        List<String> tried = new ArrayList<>(List.of("none installed for setup-envtest or kube-api-test"));
        if (folder.isEmpty()) {
            folder = download(tried);
        }
        if (folder.isEmpty()) {
            build(REQUIRED, tried);
            folder = installed();
        }
        if (folder.isEmpty()) {
            throw new Unavailable("no programs of a control plane: " + String.join("; ", tried));
        }
        say("using " + folder.get());
        return new ControlPlaneBinaries(folder.get());
    }

    /** The path of one of the programs in the folder. */
    Path program(String name) {
        return folder.resolve(name);
    }

    /** The path of kube-controller-manager, which no archive for tests contains: in the folder, or else built. */
    Path controllerManager() throws Unavailable {
        if (Files.isExecutable(program(CONTROLLER_MANAGER))) {
            return program(CONTROLLER_MANAGER);
        }
        List<String> tried = new ArrayList<>(List.of("not in " + folder));
        build(List.of(CONTROLLER_MANAGER), tried);
        return newest(versionFolders(cache()), List.of(CONTROLLER_MANAGER)).map(built -> built.resolve(CONTROLLER_MANAGER))
            .orElseThrow(() -> new Unavailable("no " + CONTROLLER_MANAGER + ": " + String.join("; ", tried)));
    }

    private static Optional<Path> installed() {
        String assets = System.getenv("KUBEBUILDER_ASSETS");
        if (assets != null && hasAll(Path.of(assets), REQUIRED)) {
            return Optional.of(Path.of(assets));
        }
        if (assets != null) {
            say("ignoring KUBEBUILDER_ASSETS=" + assets + ": it lacks one of " + String.join(", ", REQUIRED));
        }
        Path home = Path.of(System.getProperty("user.home"));
        Path data = directory("XDG_DATA_HOME", home.resolve(".local/share"));
        Stream<Path> folders = Stream.of(
            directory("KUBE_API_TEST_DIR", home.resolve(".kubeapitest")),
            data.resolve("kubebuilder-envtest"),
            home.resolve("Library/Application Support/io.kubebuilder.envtest"),
            cache()).flatMap(ControlPlaneBinaries::versionFolders);
        return newest(Stream.concat(folders, Stream.of(Path.of("/usr/local/kubebuilder/bin"))), REQUIRED);
    }

    /** This project's own folder outside the clone, laid out as build.sh does. */
    private static Path cache() {
        Path home = Path.of(System.getProperty("user.home"));
        Path caches = directory("XDG_CACHE_HOME", home.resolve(".cache"));
        return directory("LEADER_LABELER_CACHE", caches.resolve("leader-labeler")).resolve("control-plane");
    }

    private static Path directory(String variable, Path fallback) {
        return Optional.ofNullable(System.getenv(variable)).filter(value -> !value.isBlank()).map(Path::of).orElse(fallback);
    }

    /** The folders {@code <root>/k8s/<version>-<os>-<arch>} for this machine. */
    private static Stream<Path> versionFolders(Path root) {
        File[] folders = root.resolve("k8s").toFile().listFiles((parent, name) -> name.endsWith(platformSuffix()));
        return folders == null ? Stream.empty() : Stream.of(folders).map(File::toPath);
    }

    private static Optional<Path> newest(Stream<Path> folders, List<String> programs) {
        return folders.filter(folder -> hasAll(folder, programs)).max(Comparator.comparing(ControlPlaneBinaries::versionKey));
    }

    private static boolean hasAll(Path folder, List<String> programs) {
        return programs.stream().allMatch(program -> Files.isExecutable(folder.resolve(program)));
    }

    /** {@code 1.37.2-linux-amd64} as a text that sorts by version; a folder without a version sorts first. */
    private static String versionKey(Path folder) {
        String name = folder.getFileName().toString();
        return name.endsWith(platformSuffix())
            ? Stream.of(name.split("[.-]")).map(part -> String.format("%5s", part)).reduce("", String::concat) : "";
    }

    private static String platformSuffix() {
        OSInfo machine = new OSInfo();
        return "-" + machine.getOSName() + "-" + machine.getOSArch();
    }

    /** Downloads into a temporary folder first: kube-api-test would take a half-written one for complete the next time. */
    private static Optional<Path> download(List<String> tried) {
        try {
            Files.createDirectories(cache().resolve("k8s"));
            Path temporary = Files.createTempDirectory(cache(), ".download");
            try {
                BinaryDownloader downloader = new BinaryDownloader(temporary.toString(), new OSInfo());
                String version = within(Duration.ofSeconds(20), () -> downloader.findLatestOfWildcard(DOWNLOAD_VERSION));
                say("downloading Kubernetes " + version + " ...");
                Path downloaded = within(Duration.ofMinutes(5), () -> downloader.download(version)).toPath();
                Path target = cache().resolve("k8s").resolve(downloaded.getFileName());
                return Optional.of(Files.exists(target) ? target : Files.move(downloaded, target))
                    .filter(folder -> hasAll(folder, REQUIRED));
            } finally {
                Folders.delete(temporary);
            }
        } catch (Exception e) { // whatever goes wrong in the library or the network: there is another way
            Throwable cause = Stream.iterate((Throwable) e, Objects::nonNull, Throwable::getCause).reduce(e, (a, b) -> b);
            tried.add("download failed (" + cause + ")");
            return Optional.empty();
        }
    }

    /** Runs a call that has no limit of its own; it goes on in a daemon thread when its time is over. */
    private static <T> T within(Duration limit, Callable<T> call) throws Exception {
        FutureTask<T> task = new FutureTask<>(call);
        Thread.ofPlatform().daemon().start(task);
        return task.get(limit.toMillis(), TimeUnit.MILLISECONDS);
    }

    /** Runs build.sh, which shows its progress; it needs Go and some minutes. */
    private static void build(List<String> programs, List<String> tried) {
        Optional<Path> script = buildScript();
        if (script.isEmpty()) {
            tried.add("no tests/control-plane/build.sh above the working directory");
            return;
        }
        say(String.join("; ", tried) + "; building by Go, which takes some minutes the first time");
        List<String> command = new ArrayList<>(List.of("sh", script.get().toString()));
        command.addAll(programs);
        ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true);
        builder.environment().putAll(Map.of("LEADER_LABELER_CACHE", cache().getParent().toString()));
        try {
            Process process = builder.start();
            String last = process.inputReader().lines().peek(System.err::println).reduce("no output", (a, b) -> b);
            if (process.waitFor() != 0) {
                tried.add("building failed (" + last + ")");
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            tried.add("interrupted");
        }
    }

    private static Optional<Path> buildScript() {
        return Stream.iterate(Path.of("").toAbsolutePath(), Objects::nonNull, Path::getParent)
            .map(folder -> folder.resolve("tests/control-plane/build.sh")).filter(Files::exists).findFirst();
    }

    private static void say(String text) {
        System.err.println("control plane: " + text);
    }
}
