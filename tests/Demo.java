///usr/bin/env jbang "$0" "$@" ; exit $?
//JAVA 21+
//SOURCES ../LeaderLabeler.java
//SOURCES support/memory/*.java support/group/SidecarProcess.java
//SOURCES support/ElectionPicture.java support/Folders.java support/Json.java support/Kubeconfigs.java
//SOURCES support/ServerProcess.java support/SidecarCommand.java support/TestServer.java support/Wait.java
//RUNTIME_OPTIONS -Djdk.console=java.base

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import java.util.function.Function;
import java.util.stream.Collectors;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/**
 * Plays an election in the terminal: three sidecar processes and, in this process, the API server that they talk to.
 *
 * <p>What happens is watched at the source: {@link Watcher} sees every revision at the moment in which the server stores it, so the times
 * are exact, and "never two labels" is a statement about every resourceVersion. The play waits for conditions, each with a limit, and fails
 * with one line about the first that does not come true.
 */
@Command(name = "demo", sortOptions = false, usageHelpAutoWidth = true, description = "Plays an election: three sidecar processes"
        + " against an API server in memory. Ends by itself within 40 s; exit code 0 if everything happened, 1 if not.")
public final class Demo implements Callable<Integer> {

    private static final int HAPPENED = 0;
    private static final int NOT_HAPPENED = 1;
    private static final Duration TOTAL_LIMIT = Duration.ofSeconds(39);
    private static final Duration START_LIMIT = Duration.ofSeconds(20);
    private static final Duration LIMIT = Duration.ofSeconds(5);
    private static final Duration LEASE = Duration.ofSeconds(3);
    /** How often conditions are asked that are not about revisions. */
    private static final Duration TICK = Duration.ofMillis(20);

    @Option(names = "--keep", description = "Leave everything running after the play, and say how to talk to it; Ctrl-C ends it.")
    private boolean keep;

    @Option(names = "--verbose", description = "Show the logs of the sidecars as they come.")
    private boolean verbose;

    @Option(names = "--picture", paramLabel = "FILE", description = "Draw the course of the election as SVG into this file.")
    private Path picture;

    @Option(names = {"-h", "--help"}, usageHelp = true, description = "Show this help and exit.")
    private boolean help;

    private final long begun = System.nanoTime();
    private final Screen screen = new Screen(begun);
    private final Watcher watcher = new Watcher();
    private final Stage stage = new Stage(watcher);
    /** When the JVMs of the sidecars had been started. */
    private long started;
    private final Map<SidecarProcess, Integer> logShown = new HashMap<>();

    /** Plays, and ends the JVM with the exit code; whatever runs then is ended by a shutdown hook, as after Ctrl-C. */
    public static void main(String... arguments) {
        Demo demo = new Demo();
        Runtime.getRuntime().addShutdownHook(new Thread(demo.stage::end));
        System.exit(new CommandLine(demo).execute(arguments));
    }

    @Override
    public Integer call() {
        try {
            play();
            screen.table();
            if (picture != null) {
                Files.writeString(picture, watcher.picture(started));
            }
            if (keep) {
                screen.print("", "It goes on. From another terminal:", "");
                stage.howToTalk().forEach(screen::print);
                screen.heading("What happens, until Ctrl-C");
                while (!stage.isEnding()) {
                    showNews(TICK);
                }
            }
            return HAPPENED;
        } catch (NotHappened | AssertionError failure) {
            explain(failure.getMessage());
            return NOT_HAPPENED;
        } catch (IOException unwritable) {
            System.err.println("demo: --picture: cannot write \"" + picture + "\": " + unwritable);
            return NOT_HAPPENED;
        } catch (RuntimeException broken) {
            explain(broken.toString());
            return NOT_HAPPENED;
        }
    }

    private void explain(String failure) {
        if (!stage.isEnding()) { // else it failed because Ctrl-C has ended what it was about
            screen.table();
            stage.logs().forEach((pod, log) -> screen.print("", "--- log of " + pod + " ---", log.strip()));
            screen.print("", "demo failed: " + failure);
        }
    }

    // ------------------------------------------------------------------------------------------------------------ the play

    private void play() throws NotHappened {
        screen.print("Three sidecar processes elect a leader among the pods web-0, web-1 and web-2. Their API server is in",
                "memory. lease-duration 3s, renew-deadline 2s, retry-period 500ms. Shown is the label " + Stage.LEADERSHIP + ".");
        electFirst();
        handOver();
        crash();
        freezeAndThaw();
        heal();
        screen.result("never two", watcher.pods() + " pods, " + watcher.revisions() + " revisions of pods: at most "
                + watcher.mostLabelled() + " labelled at any of them", "");
    }

    private void electFirst() throws NotHappened {
        screen.heading("1. First election: three processes start");
        Stage.PODS.forEach(stage::create);
        watcher.remark("preparing: an archive of classes, for JVMs that start quickly");
        showNews(Duration.ZERO);
        stage.start(Stage.PODS.getFirst()); // takes a while, because it prepares the archive first
        started = System.nanoTime();
        Stage.PODS.stream().skip(1).forEach(stage::start);
        watcher.remark("three JVMs started");
        await("a leader is labelled", START_LIMIT, () -> watcher.lastMove() != null);
        Watcher.Move won = watcher.lastMove();
        awaitOrder();
        screen.result("first election", won.to() + " labelled; counted from the start of the JVMs", Screen.time(won.onAt() - started));
    }

    private void handOver() throws NotHappened {
        String old = leader();
        screen.heading("2. Hand-over: " + old + " gets SIGTERM");
        SidecarProcess leaving = stage.ending(old);
        watcher.remark("SIGTERM to " + old);
        long told = System.nanoTime();
        leaving.term();
        Watcher.Move move = awaitMove(old, LIMIT);
        await(old + " has ended", LIMIT, () -> !leaving.isAlive());
        if (leaving.exitCode(LIMIT) != 0) {
            throw new NotHappened(old + " ended with exit code " + leaving.exitCode(LIMIT) + " instead of 0");
        }
        screen.result("hand-over", "SIGTERM to " + old + ": " + move.to() + " labelled", Screen.time(move.onAt() - told));
        screen.result("", "between label off and label on", Screen.time(move.onAt() - move.offAt()));
        screen.result("", old + " ended with exit code 0", Screen.time(leaving.endedAt() - told));
        stage.replace(old); // it starts while the next step goes on
    }

    private void crash() throws NotHappened {
        awaitFollower();
        String old = leader();
        screen.heading("3. Crash: " + old + " is killed, and nobody tells the API server");
        watcher.remark("SIGKILL to " + old);
        long killed = System.nanoTime();
        stage.ending(old).kill();
        Watcher.Move move = awaitMove(old, LEASE.plus(LIMIT));
        screen.result("crash", "SIGKILL to " + old + ": its lease of 3 s expired, " + move.to() + " labelled",
                Screen.time(move.onAt() - killed));
        stage.replace(old); // it starts while the next step goes on
    }

    private void freezeAndThaw() throws NotHappened {
        awaitFollower();
        String old = leader();
        screen.heading("4. Freeze: " + old + " stands still for longer than its lease, then goes on as if nothing had happened");
        SidecarProcess frozen = stage.sidecar(old);
        int before = frozen.log().length();
        watcher.remark("SIGSTOP to " + old);
        long stopped = System.nanoTime();
        frozen.freeze();
        Watcher.Move move = awaitMove(old, LEASE.plus(LIMIT));
        screen.result("freeze", "SIGSTOP to " + old + ": its lease of 3 s expired, " + move.to() + " labelled",
                Screen.time(move.onAt() - stopped));
        watcher.remark("SIGCONT to " + old);
        long continued = System.nanoTime();
        frozen.thaw();
        await("the log of " + old + " says \"stopped leading\"", LIMIT, () -> frozen.log().substring(before).contains("stopped leading"));
        screen.result("thaw", "SIGCONT to " + old + ": it noticed, and follows", Screen.time(System.nanoTime() - continued));
        awaitOrder();
        if (watcher.lastMove() != move) {
            throw new NotHappened("after the thaw of " + old + " the label moved to " + watcher.lastMove().to());
        }
    }

    private void heal() throws NotHappened {
        String leader = leader();
        String follower = Stage.PODS.stream().filter(pod -> !pod.equals(leader)).findFirst().orElseThrow();
        screen.heading("5. Healing: somebody else edits what is not theirs");
        Map<String, Object> nothing = new HashMap<>();
        nothing.put(Stage.LEADERSHIP, null);
        nothing.put(Stage.PARTICIPATION, null);
        heal("healing", "label of " + leader + ", the leader, set to false", objects ->
                Stage.patch(objects, leader, Map.of("labels", Map.of(Stage.LEADERSHIP, "false"))));
        heal("", "both labels of " + follower + ", a follower, removed", objects ->
                Stage.patch(objects, follower, Map.of("labels", nothing)));
        nothing.put(Stage.EPOCH, null);
        heal("", "labels and annotation of all three removed", objects -> Stage.PODS.stream().allMatch(pod ->
                Stage.patch(objects, pod, Map.of("labels", nothing, "annotations", nothing))));
        heal("", "the Lease deleted", Stage::deleteLease);
    }

    private void heal(String step, String edit, Function<Store, Boolean> action) throws NotHappened {
        String before = leader();
        watcher.remark(edit);
        long edited = System.nanoTime();
        if (!stage.edit(action)) {
            throw new NotHappened("the API server refused this edit: " + edit);
        }
        awaitOrder();
        String outcome = leader().equals(before) ? "healed" : leader() + " leads";
        screen.result(step, edit + ": " + outcome, Screen.time(watcher.inOrderSince() - edited));
    }

    // ------------------------------------------------------------------------------------------------------------ waiting

    /** Something that should have happened did not; the message says what. */
    private static final class NotHappened extends Exception {
        private static final long serialVersionUID = 1;

        NotHappened(String message) {
            super(message);
        }
    }

    private String leader() {
        return watcher.lastMove().to();
    }

    private Watcher.Move awaitMove(String from, Duration limit) throws NotHappened {
        await("another pod than " + from + " is labelled", limit, () -> !leader().equals(from));
        return watcher.lastMove();
    }

    private void awaitFollower() throws NotHappened {
        await("there is another participant", START_LIMIT, watcher::hasFollower);
    }

    private void awaitOrder() throws NotHappened {
        await("one pod is labelled, the others are not, and all take part", START_LIMIT, () -> watcher.inOrderSince() != Watcher.NEVER);
    }

    /** Shows what happens until the condition holds. It is asked after each revision, and every 20 ms. */
    private void await(String what, Duration limit, BooleanSupplier condition) throws NotHappened {
        long start = System.nanoTime();
        while (true) {
            boolean holds = condition.getAsBoolean(); // asked first, so that what led to it is shown
            showNews(holds ? Duration.ZERO : TICK);
            if (watcher.mostLabelled() > 1) {
                throw new NotHappened(watcher.mostLabelled() + " pods were labelled at the same time");
            }
            if (holds) {
                return;
            }
            if (stage.fallen().isPresent()) {
                throw new NotHappened("the sidecar of " + stage.fallen().get() + " ended by itself");
            }
            if (System.nanoTime() - start > limit.toNanos()) {
                throw new NotHappened("not within " + limit.toSeconds() + " s: " + what);
            }
            if (System.nanoTime() - begun > TOTAL_LIMIT.toNanos()) {
                throw new NotHappened("the demo's " + TOTAL_LIMIT.toSeconds() + " s were over before: " + what);
            }
        }
    }

    /** Shows what has happened since the last call; waits that long for something to happen. */
    private void showNews(Duration patience) {
        watcher.rows(patience).forEach(screen::row);
        if (verbose) {
            stage.processes().forEach(this::showLog);
        }
    }

    private void showLog(String pod, SidecarProcess sidecar) {
        String log = sidecar.log();
        int shown = logShown.getOrDefault(sidecar, 0);
        int complete = log.lastIndexOf('\n') + 1;
        if (complete > shown) {
            log.substring(shown, complete).lines().forEach(line -> screen.log(pod, line));
            logShown.put(sidecar, complete);
        }
    }

    // ------------------------------------------------------------------------------------------------------------ the stage

    /** Three pods, their sidecars, and the API server. */
    private static final class Stage {

        static final List<String> PODS = List.of("web-0", "web-1", "web-2");
        static final String LEADERSHIP = "web/is-leader";
        static final String PARTICIPATION = "web/participant";
        static final String EPOCH = "web/epoch";
        private static final String NAMESPACE = "default";
        private static final String ELECTION = "web";
        private static final String[] FLAGS = {"--election-name=" + ELECTION, "--lease-duration=" + LEASE.toSeconds() + "s",
            "--renew-deadline=2s", "--retry-period=500ms", "--http-address=off"};

        private final InMemoryServer server = new InMemoryServer();
        private final Map<String, SidecarProcess> sidecars = new LinkedHashMap<>();
        /** Pods whose process was told to end. */
        private final Set<String> ended = new HashSet<>();
        private volatile boolean ending;

        Stage(Watcher watcher) {
            edit(objects -> {
                objects.onRevision(watcher::see);
                return true;
            });
        }

        /** Creates a pod that runs and is ready. */
        void create(String pod) {
            edit(objects -> {
                objects.create(Resource.PODS, NAMESPACE, Map.of("metadata", Map.of("name", pod),
                        "spec", Map.of("containers", List.of(Map.of("name", "app", "image", "app")))));
                return objects.patchStatus(Resource.PODS, NAMESPACE, pod, Map.of("status", Map.of("phase", "Running",
                        "conditions", List.of(Map.of("type", "Ready", "status", "True")))));
            });
        }

        /** Starts the sidecar of a pod. */
        synchronized void start(String pod) {
            if (!ending) {
                ended.remove(pod);
                sidecars.put(pod, SidecarProcess.start(server.kubeconfig(), NAMESPACE, pod, FLAGS));
            }
        }

        /** What a StatefulSet does for a pod that has ended: it is deleted, and another one of the same name takes its place. */
        void replace(String pod) {
            edit(objects -> objects.delete(Resource.PODS, NAMESPACE, pod, Store.Deletion.NOW));
            create(pod);
            start(pod);
        }

        SidecarProcess sidecar(String pod) {
            return sidecars.get(pod);
        }

        /** The sidecar of a pod, which from now on may end. */
        SidecarProcess ending(String pod) {
            ended.add(pod);
            return sidecars.get(pod);
        }

        /** A pod whose sidecar has ended though nobody told it to. */
        Optional<String> fallen() {
            return sidecars.keySet().stream().filter(pod -> !sidecars.get(pod).isAlive() && !ended.contains(pod)).findFirst();
        }

        /** The latest process of each pod. */
        Map<String, SidecarProcess> processes() {
            return sidecars;
        }

        Map<String, String> logs() {
            Map<String, String> logs = new TreeMap<>();
            sidecars.forEach((pod, sidecar) -> logs.put(pod, sidecar.log()));
            return logs;
        }

        /** Changes stored objects as another client would, between two requests of the sidecars; the watcher sees each revision. */
        <T> T edit(Function<Store, T> action) {
            return server.withStore(action);
        }

        /** Merges this into the metadata of a pod; says whether it was done. */
        static boolean patch(Store objects, String pod, Map<String, ?> metadata) {
            return objects.patch(Resource.PODS, NAMESPACE, pod, Map.of("metadata", metadata)) instanceof Store.Ok;
        }

        static boolean deleteLease(Store objects) {
            return objects.delete(Resource.LEASES, NAMESPACE, ELECTION, Store.Deletion.DEFAULT) instanceof Store.Ok;
        }

        /** Command lines for another terminal. */
        List<String> howToTalk() {
            String patch = "  curl -s -X PATCH -H 'Content-Type: application/merge-patch+json' $pods/web-1 \\";
            List<String> lines = new ArrayList<>(List.of(
                    "  api=" + server.client().getBasePath(), "  pods=$api/api/v1/namespaces/" + NAMESPACE + "/pods",
                    "  curl -s $pods",
                    "  curl -s $api/apis/coordination.k8s.io/v1/namespaces/" + NAMESPACE + "/leases/" + ELECTION,
                    patch, "    -d '{\"metadata\": {\"labels\": {\"" + LEADERSHIP + "\": null}}}'",
                    "  curl -s -X DELETE $api/apis/coordination.k8s.io/v1/namespaces/" + NAMESPACE + "/leases/" + ELECTION, "",
                    "  export KUBECONFIG=" + server.kubeconfig(),
                    "  kubectl get pods -L " + LEADERSHIP + "," + PARTICIPATION,
                    "  kubectl get lease " + ELECTION + " -o yaml", ""));
            sidecars.forEach((pod, sidecar) ->
                    lines.add("  kill -TERM " + sidecar.pid() + "   # the sidecar of " + pod + "; or -KILL, -STOP, -CONT"));
            return lines;
        }

        boolean isEnding() {
            return ending;
        }

        /** Ends every process that was started here, a half-started one included, and the server. For the shutdown hook. */
        void end() {
            ending = true;
            endProcesses();
            synchronized (this) { // now nobody is starting one
                endProcesses();
            }
            server.close();
        }

        private static void endProcesses() {
            ProcessHandle.current().children().toList().forEach(child -> {
                child.destroyForcibly();
                child.onExit().join();
            });
        }
    }

    // ------------------------------------------------------------------------------------------------------------ watching

    /**
     * Sees every revision of the server's store, in order, while the server's lock is held: at no resourceVersion is there a state that it
     * did not see. It only takes notes.
     */
    private static final class Watcher {

        static final long NEVER = Long.MAX_VALUE;

        /** The label went from one pod ({@code ""} the first time) to another; times by {@link System#nanoTime}. */
        record Move(String from, String to, long offAt, long onAt) {}

        /** The labels of the pods at a time; null where there is no label, no entry where there is no pod. */
        record Row(long at, Map<String, String> labels, String remark) {}

        private final LinkedBlockingQueue<Row> rows = new LinkedBlockingQueue<>();
        private final ElectionPicture picture = new ElectionPicture(Stage.PODS);
        private final Map<String, Map<String, Object>> pods = new TreeMap<>();
        private String holder = "";
        private String lastLabelled = "";
        private long offAt = NEVER;
        private Move lastMove;
        private long inOrderSince = NEVER;
        private int created;
        private int revisions;
        private int mostLabelled;

        /** Takes in one revision; called by the store. */
        synchronized void see(Store.Revision revision) {
            long now = System.nanoTime();
            switch (revision.resource()) {
                case LEASES -> holder = revision.after() == null ? "" : Objects.requireNonNullElse(
                        Json.text(revision.after(), "spec", "holderIdentity"), "");
                case PODS -> seePod(revision, now);
                default -> { }
            }
            inOrderSince = !isInOrder() ? NEVER : Math.min(inOrderSince, now);
            picture.state(now, leadershipByPod(), holder);
        }

        private void seePod(Store.Revision revision, long now) {
            String pod = revision.name();
            boolean was = isLabelled(revision.before());
            boolean is = isLabelled(revision.after());
            revisions++;
            created += revision.before() == null ? 1 : 0;
            if (revision.after() == null) {
                pods.remove(pod);
            } else {
                pods.put(pod, revision.after());
            }
            mostLabelled = Math.max(mostLabelled, (int) pods.values().stream().filter(Watcher::isLabelled).count());
            if (was && !is) {
                offAt = now;
            } else if (is && !was && !pod.equals(lastLabelled)) {
                lastMove = new Move(lastLabelled, pod, offAt, now);
                lastLabelled = pod;
            }
            if (revision.before() == null || revision.after() == null) {
                note(now, pod + ": " + (revision.after() == null ? "pod deleted" : "new pod"));
            } else if (!Objects.equals(labels(revision.before()), labels(revision.after()))) {
                note(now, "");
            }
        }

        /** Notes what happens from outside, so that it is shown among the revisions. */
        synchronized void remark(String text) {
            long now = System.nanoTime();
            note(now, text);
            picture.remark(now, text);
        }

        private void note(long now, String remark) {
            rows.add(new Row(now, leadershipByPod(), remark));
        }

        private Map<String, String> leadershipByPod() {
            Map<String, String> labels = new TreeMap<>();
            pods.forEach((pod, object) -> labels.put(pod, labels(object).get(Stage.LEADERSHIP)));
            return labels;
        }

        /** What was seen from then until now, as SVG. */
        synchronized String picture(long from) {
            return picture.svg(from, System.nanoTime());
        }

        /** One pod is labelled and holds the Lease, the others are labelled as followers, all in the same epoch. */
        private boolean isInOrder() {
            return pods.containsKey(holder) && pods.entrySet().stream().allMatch(pod -> isInOrder(pod.getKey(), labels(pod.getValue())))
                    && pods.values().stream().map(pod -> Json.text(pod, "metadata", "annotations", Stage.EPOCH)).distinct().count() == 1;
        }

        private boolean isInOrder(String pod, Map<String, String> labels) {
            String leadership = Boolean.toString(pod.equals(holder));
            return leadership.equals(labels.get(Stage.LEADERSHIP)) && "true".equals(labels.get(Stage.PARTICIPATION));
        }

        private static boolean isLabelled(Map<String, Object> pod) {
            return pod != null && "true".equals(labels(pod).get(Stage.LEADERSHIP));
        }

        private static Map<String, String> labels(Map<String, Object> pod) {
            Map<String, String> labels = new TreeMap<>();
            Json.object(pod, "metadata", "labels").forEach((key, value) -> labels.put(key, (String) value));
            return labels;
        }

        /** The rows since the last call; waits that long for the first. */
        List<Row> rows(Duration patience) {
            List<Row> taken = new ArrayList<>();
            try {
                Row first = rows.poll(patience.toMillis(), TimeUnit.MILLISECONDS);
                if (first != null) {
                    taken.add(first);
                    rows.drainTo(taken);
                }
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
            return taken;
        }

        /** Null until a pod was labelled. */
        synchronized Move lastMove() {
            return lastMove;
        }

        /** Whether a pod is labelled as a follower. The label of a pod that was replaced is gone with it. */
        synchronized boolean hasFollower() {
            return pods.values().stream().anyMatch(pod -> "false".equals(labels(pod).get(Stage.LEADERSHIP)));
        }

        /** Since when all labels are as they should be; {@link #NEVER} if they are not. */
        synchronized long inOrderSince() {
            return inOrderSince;
        }

        synchronized int pods() {
            return created;
        }

        synchronized int revisions() {
            return revisions;
        }

        synchronized int mostLabelled() {
            return mostLabelled;
        }
    }

    // ------------------------------------------------------------------------------------------------------------ showing

    /** Everything that is written; at most 100 columns, and in colours only on a terminal. */
    private static final class Screen {

        private static final boolean COLOURS = System.console() != null && System.getenv("NO_COLOR") == null;
        private static final String BOLD = "1";
        private static final String GREEN = "1;32";
        private static final String DIM = "2";
        private static final String RESULT = "%-15s %-72s %9s";

        private final long begun;
        private final List<String> results = new ArrayList<>();

        Screen(long begun) {
            this.begun = begun;
        }

        void print(String... lines) {
            for (String line : lines) {
                System.out.println(line);
            }
        }

        void heading(String text) {
            print("", colour(BOLD, text));
            columns();
        }

        void columns() {
            print(colour(DIM, "      s  " + Stage.PODS.stream().map(pod -> "%-8s".formatted(pod)).collect(Collectors.joining()).strip()));
        }

        void row(Watcher.Row row) {
            String cells = Stage.PODS.stream().map(pod -> cell(row.labels(), pod)).collect(Collectors.joining());
            print(("%7.3f  ".formatted((row.at() - begun) / 1e9) + cells + row.remark()).stripTrailing());
        }

        private static String cell(Map<String, String> labels, String pod) {
            String value = !labels.containsKey(pod) ? "" : labels.get(pod) == null ? "-" : labels.get(pod);
            String cell = "%-8s".formatted(value);
            return value.equals("true") ? colour(GREEN, cell) : cell;
        }

        void log(String pod, String line) {
            print(colour(DIM, "  " + pod + " | " + line));
        }

        /** A line of the table. */
        void result(String step, String what, String time) {
            results.add(RESULT.formatted(step, what, time).stripTrailing());
        }

        void table() {
            print("", colour(BOLD, RESULT.formatted("Step", "What happened", "Time")));
            results.forEach(this::print);
        }

        static String time(long nanos) {
            return nanos < 10_000_000 ? "%.1f ms".formatted(nanos / 1e6)
                    : nanos < 1_000_000_000 ? "%.0f ms".formatted(nanos / 1e6) : "%.2f s".formatted(nanos / 1e9);
        }

        private static String colour(String code, String text) {
            return COLOURS ? "\033[" + code + "m" + text + "\033[0m" : text;
        }
    }
}
