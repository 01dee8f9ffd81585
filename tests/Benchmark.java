///usr/bin/env jbang "$0" "$@" ; exit $?
//JAVA 21+
//DEPS org.junit:junit-bom:6.1.3@pom
//DEPS org.junit.jupiter:junit-jupiter
//DEPS io.fabric8:kube-api-test:7.6.1
//DEPS org.knowm.xchart:xchart:3.8.8
// The version that the program is shipped with; kube-api-test would raise it.
//DEPS com.squareup.okhttp3:okhttp-jvm:5.1.0
//SOURCES ../LeaderLabeler.java benchmark/*.java
//SOURCES support/real/*.java support/group/Group.java support/group/SidecarProcess.java support/group/Witness.java
//SOURCES support/Folders.java support/Json.java support/Kubeconfigs.java support/Program.java support/RawWatch.java
//SOURCES support/ServerProcess.java support/SidecarCommand.java support/TestServer.java support/Wait.java

import io.kubernetes.client.openapi.ApiException;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.EnumSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.stream.Collectors;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/**
 * Measures sidecars that label the leader, side by side in one run on a real API server: this project's, {@link BaselineLabeler} and any
 * other. Each has three pods in a namespace of its own; scenario after scenario is played with one after the other, round by round, so that
 * whatever else the machine does hits all of them.
 */
@Command(name = "benchmark", sortOptions = false, usageHelpAutoWidth = true, showDefaultValues = false, description = {
    "Measures LeaderLabeler.java beside a program that uses client-java's own LeaderElector (tests/benchmark/BaselineLabeler.java), on"
        + " a real API server. Prints a table: medians, p90, maxima, and medians as multiples of a GET in the same run.",
    "Exit code 0, 1 if it failed or LeaderLabeler.java broke one of its rules, 2 after bad usage."})
public final class Benchmark implements Callable<Integer> {

    private static final int MEASURED = 0;
    private static final int FAILED = 1;
    private static final int USAGE = 2;

    @Option(names = "--rounds", paramLabel = "N", defaultValue = "20", description = "How often the short scenarios are played; crash and"
        + " startup in every 2nd round, freeze, healing, rollout and outage in every 4th, idle in every 10th. Default: ${DEFAULT-VALUE},"
        + " which takes some 40 minutes.")
    private String rounds;

    @Option(names = "--scenario", paramLabel = "NAME,NAME", description = "Only these: handover, deletion, gone, crash, freeze, healing,"
        + " rollout, startup, idle, outage.")
    private String scenario;

    @Option(names = "--fast", description = "3s/2s/500ms for lease-duration, renew-deadline and retry-period, instead of 15s/10s/2s.")
    private boolean fast;

    @Option(names = "--against", paramLabel = "[NAME=]COMMAND", description = {"Measure this sidecar, too; may be given more than once. A"
        + " program and its arguments, separated by spaces, without a shell. {pod}, {namespace}, {election}, {kubeconfig},"
        + " {lease-duration}, {renew-deadline} and {retry-period} are filled in; KUBECONFIG, POD_NAME and POD_NAMESPACE are set, too. It"
        + " must hold a Lease of the election's name and write the labels {election}/is-leader and {election}/participant."})
    private List<String> against = List.of();

    @Option(names = "--out", paramLabel = "FOLDER", description = "Write results.json and pictures there.")
    private String out;

    @Option(names = {"-h", "--help"}, usageHelp = true, description = "Show this help and exit.")
    private boolean help;

    private final long begun = System.nanoTime();
    private final List<Team> teams = new CopyOnWriteArrayList<>();
    private volatile AuditLog audit;
    private volatile RealServer server;
    private volatile boolean ending;

    /** Measures, and ends the JVM with the exit code; whatever runs then is ended by a shutdown hook, as after Ctrl-C. */
    public static void main(String... arguments) {
        System.setProperty("org.slf4j.simpleLogger.log.io.fabric8.kubeapitest", "warn"); // says at every start that it makes keys
        System.setProperty("java.awt.headless", "true");
        Benchmark benchmark = new Benchmark();
        Runtime.getRuntime().addShutdownHook(new Thread(benchmark::end));
        System.exit(new CommandLine(benchmark).setParameterExceptionHandler((e, all) -> complain(e)).execute(arguments));
    }

    private static int complain(Exception e) {
        System.err.println("benchmark: " + e.getMessage());
        return USAGE;
    }

    @Override
    public Integer call() {
        Plan plan;
        try {
            plan = plan();
        } catch (IllegalArgumentException bad) {
            return complain(bad);
        }
        Optional<String> unavailable = RealServer.unavailable();
        if (unavailable.isPresent()) {
            return explain("no real API server: " + unavailable.get());
        }
        try {
            return measure(plan);
        } catch (AssertionError notInTime) {
            return explain(notInTime.getMessage());
        } catch (ApiException | RuntimeException failure) {
            StringWriter trace = new StringWriter();
            failure.printStackTrace(new PrintWriter(trace));
            return explain(trace.toString());
        }
    }

    private int explain(String failure) {
        if (!ending) { // else it failed because Ctrl-C has ended what it was about
            System.err.println("benchmark: " + failure);
        }
        return FAILED;
    }

    // --- The command line ----------------------------------------------------------------------------------------------

    private Plan plan() {
        Timings timings = fast ? Timings.FAST : Timings.DEFAULT;
        List<Candidate> candidates = new ArrayList<>(List.of(Candidate.ours(), Candidate.baseline()));
        for (String template : against) {
            addCandidate(candidates, template, Candidate.ofCommand(template, Team.ELECTION, timings));
        }
        return new Plan(timings, Duration.ofSeconds(fast ? 20 : 60), number(rounds),
                scenario == null ? EnumSet.allOf(Scenario.class) : scenarios(scenario), candidates,
                Optional.ofNullable(out).map(Benchmark::folder));
    }

    private static int number(String text) {
        if (!text.matches("[1-9][0-9]{0,4}")) {
            throw new IllegalArgumentException("--rounds: \"" + text + "\" must be a whole number from 1 to 99999");
        }
        return Integer.parseInt(text);
    }

    private static Set<Scenario> scenarios(String text) {
        Set<Scenario> chosen = EnumSet.noneOf(Scenario.class);
        for (String name : text.split(",", -1)) {
            chosen.add(Arrays.stream(Scenario.values()).filter(each -> each.toString().equals(name)).findFirst()
                    .orElseThrow(() -> new IllegalArgumentException("--scenario: \"" + name + "\" must be one of "
                            + Arrays.stream(Scenario.values()).map(Scenario::toString).collect(Collectors.joining(", ")))));
        }
        return chosen;
    }

    private static void addCandidate(List<Candidate> candidates, String template, Candidate added) {
        if (candidates.stream().anyMatch(other -> other.name().equals(added.name()))) {
            throw new IllegalArgumentException("--against: \"" + template + "\" must have a name of its own, by NAME= before it; there is"
                    + " another " + added);
        }
        candidates.add(added);
    }

    private static Path folder(String text) {
        Path folder = Path.of(text);
        if (Files.exists(folder) && !Files.isDirectory(folder)) {
            throw new IllegalArgumentException("--out: \"" + text + "\" must be a folder, or not exist yet");
        }
        return folder;
    }

    // --- Measuring -----------------------------------------------------------------------------------------------------

    private int measure(Plan plan) throws ApiException {
        audit = new AuditLog();
        server = RealServer.start(audit.flags());
        plan.candidates().forEach(candidate -> candidate.prepare(server));
        Results results = new Results(Circumstances.now(server, plan.timings()));
        for (Candidate candidate : plan.candidates()) {
            teams.add(new Team(candidate, server, plan.timings()));
            teams.getLast().start();
            teams.getLast().awaitSettled();
        }
        try {
            play(plan, new Course(server, Optional.of(audit).filter(log -> server.canStop()), plan, results), results);
        } finally { // also what was measured before something failed
            results.print(System.out);
            plan.folder().ifPresent(folder -> draw(results, plan.timings(), folder));
        }
        return judge();
    }

    private void play(Plan plan, Course course, Results results) throws ApiException {
        for (int round = 0; round < plan.rounds(); round++) {
            List<Team> order = new ArrayList<>(teams);
            Collections.rotate(order, round); // who is first has waited longest, on a machine that has cooled down
            for (Scenario each : plan.scenarios()) {
                for (Team team : each.isIn(round, server) ? order : List.<Team>of()) {
                    System.err.printf("%5d s  round %d of %d: %s, %s%n", (System.nanoTime() - begun) / 1_000_000_000, round + 1,
                            plan.rounds(), each, team.candidate());
                    course.play(each, team);
                }
            }
            results.add("load at the end", Circumstances.load());
            plan.folder().ifPresent(results::write); // whatever comes, an hour's work is not lost
        }
    }

    /** A JDK without fonts cannot draw; the figures are written all the same. */
    private static void draw(Results results, Timings timings, Path folder) {
        try {
            Pictures.write(results, timings, folder);
        } catch (IOException | RuntimeException | LinkageError | InternalError failure) {
            System.err.println("benchmark: no pictures: " + failure);
        }
    }

    /** Holds this project's program to its rules; what others do is only shown. */
    private int judge() {
        teams.forEach(team -> System.out.printf("%s: %d revisions with two leaders in the whole run%n", team.candidate(),
                team.witness().revisionsWithTwoLeaders(0)));
        try {
            teams.getFirst().group().check();
            return MEASURED;
        } catch (AssertionError broken) {
            System.err.println("benchmark: " + teams.getFirst().candidate() + " broke a rule: " + broken.getMessage());
            return FAILED;
        }
    }

    /** Ends every process that was started here, a half-started one included, and deletes what they wrote. For the shutdown hook. */
    private void end() {
        ending = true;
        teams.forEach(Team::end);
        if (server != null) {
            server.close();
        }
        ProcessHandle.current().children().toList().forEach(child -> {
            child.destroyForcibly();
            child.onExit().join();
        });
        if (audit != null) {
            audit.close();
        }
    }
}
