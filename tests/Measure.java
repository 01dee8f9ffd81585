///usr/bin/env jbang "$0" "$@" ; exit $?
//JAVA 21+
//DEPS org.junit:junit-bom:6.1.3@pom
//DEPS org.junit.jupiter:junit-jupiter
//DEPS io.fabric8:kube-api-test:7.6.1
// The version that the program is shipped with; kube-api-test would raise it.
//DEPS com.squareup.okhttp3:okhttp-jvm:5.1.0
//SOURCES ../LeaderLabeler.java support/ControlPlane.java support/ControlPlaneBinaries.java support/Folders.java support/Group.java
//SOURCES support/Json.java support/RawWatch.java support/RealServer.java support/ServerProcess.java support/SidecarProcess.java
//SOURCES support/TestServer.java support/Wait.java support/Witness.java

import io.kubernetes.client.openapi.ApiException;
import io.kubernetes.client.openapi.apis.CoordinationV1Api;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/**
 * Measures how long the label takes to move: {@code Measure.java [--rounds=N] [--scenario=NAME,NAME]}
 *
 * <p>Three sidecar processes with the default timing (15s, 10s, 2s) on a real API server. The scenarios are interleaved, so that whatever
 * else the machine does hits all of them. Printed are medians, 90th percentiles and maxima in milliseconds, and the medians as multiples of
 * that of a GET of the Lease in the same run. The exit code is 1 if at any revision two pods were labelled.
 */
public final class Measure {

    private static final Duration LIMIT = Duration.ofSeconds(60);
    /** How long sidecars run before something happens to them: JVMs that have just started are busy with that. */
    private static final Duration WARM = Duration.ofSeconds(4);
    private static final int GETS = 20;

    /** What is done to the leader, and how seldom: every n-th round. */
    private enum Scenario {
        HANDOVER(1), DELETION(1), GONE(1), CRASH(4);

        private final int every;

        Scenario(int every) {
            this.every = every;
        }
    }

    private final Map<String, List<Long>> samples = new LinkedHashMap<>();
    private final Group group;
    private final RealServer server;
    private long startedAt;

    private Measure(RealServer server) {
        this.server = server;
        this.group = new Group(server, server.newNamespace(), "web", Group.CALM);
    }

    /** Measures, prints the table and ends the JVM: the server's threads would keep it. */
    public static void main(String[] arguments) {
        int rounds = Integer.parseInt(option(arguments, "--rounds", "20"));
        List<String> wanted = List.of(option(arguments, "--scenario", "handover,deletion,gone,crash").toUpperCase().split(","));
        int exitCode = 1;
        Measure measure = new Measure(RealServer.start());
        try {
            measure.run(rounds, wanted);
            measure.print();
            measure.group.check();
            System.out.println("revisions with two leaders: 0");
            exitCode = 0;
        } catch (ApiException | RuntimeException | Error e) {
            e.printStackTrace();
        } finally {
            measure.group.close();
            System.exit(exitCode);
        }
    }

    private void run(int rounds, List<String> wanted) throws ApiException {
        group.start(3);
        startedAt = System.nanoTime();
        for (int round = 0; round < rounds; round++) {
            for (Scenario scenario : Scenario.values()) {
                if (wanted.contains(scenario.name()) && round % scenario.every == 0) {
                    System.err.printf("round %d of %d: %s%n", round + 1, rounds, scenario.name().toLowerCase());
                    run(scenario);
                }
            }
        }
    }

    private static String option(String[] arguments, String name, String otherwise) {
        return Arrays.stream(arguments).filter(argument -> argument.startsWith(name + "="))
                .map(argument -> argument.substring(name.length() + 1)).findFirst().orElse(otherwise);
    }

    // --- Scenarios -----------------------------------------------------------------------------------------------------

    private void run(Scenario scenario) throws ApiException {
        String leader = group.awaitLeader(LIMIT);
        Wait.until("the sidecars are warm", LIMIT, () -> System.nanoTime() - startedAt > WARM.toNanos());
        measureGets();
        switch (scenario) {
            case HANDOVER -> handOver(leader);
            case DELETION -> delete(leader);
            case GONE -> vanish(leader);
            case CRASH -> crash(leader);
        }
        startedAt = System.nanoTime();
    }

    /** SIGTERM; afterwards the container is restarted. */
    private void handOver(String leader) {
        long before = group.witness().now();
        long since = System.nanoTime();
        group.term(leader);
        note("hand-over: SIGTERM to next true", since, awaitMove(leader, before));
        noteGap("hand-over: off to on", before);
        group.sidecar(leader).exitCode(LIMIT);
        group.startSidecar(leader);
    }

    /** A deletionTimestamp; afterwards the pod goes and another of its name comes. */
    private void delete(String leader) {
        long before = group.witness().now();
        long since = System.nanoTime();
        group.beginDeletion(leader);
        note("hand-over: deletion to next true", since, awaitMove(leader, before));
        noteGap("deletion: off to on", before);
        group.term(leader).exitCode(LIMIT);
        group.editPod(leader, "{\"metadata\": {\"finalizers\": null}}");
        replace(leader);
    }

    /** The process dies, then the pod is removed: nobody needs to wait for the Lease to expire. */
    private void vanish(String leader) {
        group.kill(leader);
        long before = group.witness().now();
        long since = System.nanoTime();
        group.deletePod(leader);
        note("take-over: pod removed to next true", since, awaitMove(leader, before));
        replace(leader);
    }

    /** The process dies and its pod stays. */
    private void crash(String leader) {
        long before = group.witness().now();
        group.kill(leader);
        group.witness().catchUp();
        long renewed = group.witness().lease().orElseThrow().at();
        long on = awaitMove(leader, before);
        note("take-over: crash, beyond the lease of 15 s", renewed + TimeUnit.SECONDS.toNanos(15), on);
        group.startSidecar(leader);
    }

    private void replace(String pod) {
        group.await("the pod is gone", LIMIT, () -> !group.witness().pods().containsKey(pod));
        group.createPod(pod);
        group.startSidecar(pod);
    }

    /** Waits until another pod is labelled; returns when the watch told it. */
    private long awaitMove(String leader, long before) {
        group.await("another pod than " + leader + " is labelled", LIMIT, () -> group.witness().movesSince(before).stream()
                .anyMatch(move -> move.on() && !move.pod().equals(leader)));
        return group.witness().movesSince(before).getLast().at();
    }

    // --- Figures -------------------------------------------------------------------------------------------------------

    private void measureGets() throws ApiException {
        CoordinationV1Api leases = new CoordinationV1Api(server.client());
        for (int i = 0; i < GETS + 5; i++) {
            long since = System.nanoTime();
            leases.readNamespacedLease("web", group.namespace()).execute();
            if (i >= 5) { // the first ones open the connection
                note("GET of the Lease", since, System.nanoTime());
            }
        }
    }

    private void noteGap(String what, long before) {
        List<Witness.Move> moves = group.witness().movesSince(before);
        note(what, moves.get(moves.size() - 2).at(), moves.getLast().at());
    }

    private void note(String what, long since, long until) {
        samples.computeIfAbsent(what, key -> new ArrayList<>()).add(until - since);
    }

    private void print() {
        double get = quantile(samples.get("GET of the Lease"), 0.5);
        System.out.printf("%s, JDK %s, %d processors%n", server.title(), Runtime.version(), Runtime.getRuntime().availableProcessors());
        System.out.printf("%-44s %7s %10s %9s %9s %14s%n", "", "rounds", "median ms", "p90", "max", "median in GETs");
        samples.forEach((what, times) -> System.out.printf("%-44s %7d %10.1f %9.1f %9.1f %14.1f%n", what, times.size(),
                quantile(times, 0.5) / 1e6, quantile(times, 0.9) / 1e6, quantile(times, 1) / 1e6, quantile(times, 0.5) / get));
    }

    private static double quantile(List<Long> times, double part) {
        List<Long> sorted = times.stream().sorted().toList();
        return sorted.get((int) Math.ceil(part * sorted.size()) - 1);
    }
}
