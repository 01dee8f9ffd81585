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
import java.util.function.Supplier;
import java.util.stream.Stream;

/**
 * A folder with the programs of a control plane. They are taken from what is installed ({@code KUBEBUILDER_ASSETS}, the folders
 * of setup-envtest and kube-api-test, this project's cache), else downloaded as kube-api-test does, else built by Go from
 * modules: {@code tests/control-plane/build.sh}. The newest are taken, unless the system property {@link #SERVER} names others.
 *
 * @param folder holds etcd, kube-apiserver and kubectl, and perhaps kube-controller-manager
 */
record ControlPlaneBinaries(Path folder) {
    /** The system property with a version such as 1.30.14, {@code kine}, or a folder of programs; unset or empty: the newest. */
    static final String SERVER = "real.server";

    /** The name of a server that keeps its objects in SQLite, by kine, in place of etcd. */
    private static final String KINE = "kine";
    /** Installed programs that are older are only taken where newer ones cannot be had, or when {@link #SERVER} names them. */
    private static final String OLDEST_PREFERRED = "1.37.0";
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

    /**
     * Finds the programs or provides them, which may take minutes; tells on the error output which ones it uses.
     *
     * @throws Unavailable if there are none and none can be had
     */
    static ControlPlaneBinaries find() throws Unavailable {
        return find(System.getProperty(SERVER, ""));
    }

    /** Finds the programs that {@code server} names, as {@link #SERVER} would. */
    static ControlPlaneBinaries find(String server) throws Unavailable {
        Path folder;
        if (server.isEmpty()) {
            folder = newestOfAll();
        } else if (server.equals(KINE)) {
            folder = withKine();
        } else if (server.matches("\\d+\\.\\d+\\.\\d+")) {
            folder = provide(() -> newest(versionFolders(roots()).filter(each -> version(each).equals(server)), REQUIRED), server,
                List.of("--version", server));
        } else {
            folder = Path.of(server).toAbsolutePath();
            if (!hasAll(folder, REQUIRED)) {
                throw new Unavailable(SERVER + ": cannot use " + server + ": it is neither a version such as 1.30.14, nor " + KINE
                    + ", nor a folder with " + String.join(", ", REQUIRED));
            }
        }
        say("using " + folder);
        return new ControlPlaneBinaries(folder);
    }

    private static Path newestOfAll() throws Unavailable {
        String assets = System.getenv("KUBEBUILDER_ASSETS");
        if (assets != null && hasAll(Path.of(assets), REQUIRED)) {
            return Path.of(assets);
        }
        if (assets != null) {
            say("ignoring KUBEBUILDER_ASSETS=" + assets + ": it lacks one of " + String.join(", ", REQUIRED));
        }
        String oldest = sortable(OLDEST_PREFERRED);
        try {
            return provide(() -> newest(installed().filter(each -> sortable(version(each)).compareTo(oldest) >= 0), REQUIRED),
                DOWNLOAD_VERSION, List.of());
        } catch (Unavailable e) {
            return newest(installed(), REQUIRED).orElseThrow(() -> e);
        }
    }

    /** The first of: what is installed, what can be downloaded, what can be built. */
    private static Path provide(Supplier<Optional<Path>> installed, String download, List<String> buildOptions) throws Unavailable {
        Optional<Path> folder = installed.get();
        List<String> tried = new ArrayList<>(List.of(download + " is not installed for setup-envtest or kube-api-test"));
        if (folder.isEmpty()) {
            folder = download(download, tried);
        }
        if (folder.isEmpty()) {
            build(Stream.concat(buildOptions.stream(), REQUIRED.stream()).toList(), tried);
            folder = installed.get();
        }
        return folder.orElseThrow(() -> new Unavailable("no programs of a control plane: " + String.join("; ", tried)));
    }

    /** Kubernetes as pinned, on kine: no archive has both, so they are built. */
    private static Path withKine() throws Unavailable {
        List<String> tried = new ArrayList<>(List.of("none built before"));
        Supplier<Optional<Path>> built = () -> newest(versionFolders(Stream.of(cache().resolve(KINE))), REQUIRED);
        if (built.get().isEmpty()) {
            build(Stream.concat(Stream.of("--kine"), REQUIRED.stream()).toList(), tried);
        }
        return built.get().orElseThrow(() -> new Unavailable("no kine: " + String.join("; ", tried)));
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
        String version = kubernetesVersion();
        List<String> tried = new ArrayList<>(List.of("not in " + folder));
        build(List.of("--version", version, CONTROLLER_MANAGER), tried);
        return newest(versionFolders(Stream.of(cache().resolve("k8s"))).filter(each -> version(each).equals(version)),
                List.of(CONTROLLER_MANAGER)).map(built -> built.resolve(CONTROLLER_MANAGER))
            .orElseThrow(() -> new Unavailable("no " + CONTROLLER_MANAGER + " " + version + ": " + String.join("; ", tried)));
    }

    /** The version that kube-apiserver itself tells, such as 1.34.4: a folder may have any name. */
    private String kubernetesVersion() throws Unavailable {
        try {
            Process process = new ProcessBuilder(program("kube-apiserver").toString(), "--version").redirectErrorStream(true).start();
            String output = new String(process.getInputStream().readAllBytes()).strip();
            if (!output.matches("Kubernetes v\\d+\\.\\d+\\.\\d+.*")) {
                throw new Unavailable("kube-apiserver --version: cannot tell a version from: " + output);
            }
            return output.replaceFirst("Kubernetes v(\\d+\\.\\d+\\.\\d+).*", "$1");
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** The folders that may hold programs, whatever their version. */
    private static Stream<Path> installed() {
        return Stream.concat(versionFolders(roots()), Stream.of(Path.of("/usr/local/kubebuilder/bin")));
    }

    /** Where setup-envtest, kube-api-test and this project keep folders named by version and platform. */
    private static Stream<Path> roots() {
        Path home = Path.of(System.getProperty("user.home"));
        Path data = directory("XDG_DATA_HOME", home.resolve(".local/share"));
        return Stream.of(
            directory("KUBE_API_TEST_DIR", home.resolve(".kubeapitest")),
            data.resolve("kubebuilder-envtest"),
            home.resolve("Library/Application Support/io.kubebuilder.envtest"),
            cache()).map(root -> root.resolve("k8s"));
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

    /** The folders {@code <root>/<version>-<os>-<arch>} for this machine. */
    private static Stream<Path> versionFolders(Stream<Path> roots) {
        return roots.map(root -> root.toFile().listFiles((parent, name) -> name.endsWith(platformSuffix())))
            .filter(Objects::nonNull).flatMap(Stream::of).map(File::toPath);
    }

    private static Optional<Path> newest(Stream<Path> folders, List<String> programs) {
        return folders.filter(folder -> hasAll(folder, programs)).max(Comparator.comparing(folder -> sortable(version(folder))));
    }

    private static boolean hasAll(Path folder, List<String> programs) {
        return programs.stream().allMatch(program -> Files.isExecutable(folder.resolve(program)));
    }

    /** The version in a name like {@code 1.37.2-linux-amd64}; empty for a folder without one. */
    private static String version(Path folder) {
        String name = folder.getFileName().toString();
        return name.endsWith(platformSuffix()) ? name.substring(0, name.length() - platformSuffix().length()) : "";
    }

    /** A version as a text that sorts like it; none sorts first. */
    private static String sortable(String version) {
        return version.isEmpty() ? ""
            : Stream.of(version.split("[.-]")).map(part -> String.format("%5s", part)).reduce("", String::concat);
    }

    private static String platformSuffix() {
        OSInfo machine = new OSInfo();
        return "-" + machine.getOSName() + "-" + machine.getOSArch();
    }

    /** Downloads into a temporary folder first: kube-api-test would take a half-written one for complete the next time. */
    private static Optional<Path> download(String wanted, List<String> tried) {
        try {
            Files.createDirectories(cache().resolve("k8s"));
            Path temporary = Files.createTempDirectory(cache(), ".download");
            try {
                BinaryDownloader downloader = new BinaryDownloader(temporary.toString(), new OSInfo());
                String version = within(Duration.ofSeconds(20), 
                    () -> wanted.endsWith("*") ? downloader.findLatestOfWildcard(wanted) : wanted);
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

    /** Runs build.sh with some arguments; it shows its progress, and needs Go and some minutes. */
    private static void build(List<String> arguments, List<String> tried) {
        Optional<Path> script = buildScript();
        if (script.isEmpty()) {
            tried.add("no tests/control-plane/build.sh above the working directory");
            return;
        }
        say(String.join("; ", tried) + "; building by Go, which takes some minutes the first time");
        List<String> command = new ArrayList<>(List.of("sh", script.get().toString()));
        command.addAll(arguments);
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
