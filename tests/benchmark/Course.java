import io.kubernetes.client.openapi.ApiException;
import io.kubernetes.client.openapi.apis.CoordinationV1Api;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.function.ToDoubleFunction;

/** Plays scenarios with teams, and writes down what it measures. Each leaves a settled team of three. */
final class Course {

    /** How long an application goes on after its pod was deleted; only then does a native sidecar get its SIGTERM. */
    static final Duration DRAIN = Duration.ofSeconds(5);
    /** How long sidecars run before something happens to them: JVMs that have just started are busy with that. */
    private static final Duration WARM = Duration.ofSeconds(4);
    /** After this long, a sidecar has nothing left to do of its start. */
    static final Duration SETTLED = Duration.ofSeconds(10);
    static final String NEXT_LABELLED = "until the next pod is labelled";
    private static final int GETS = 20;

    private final RealServer server;
    private final Optional<AuditLog> audit;
    private final Timings timings;
    private final Duration idle;
    private final Duration moveLimit;
    private final Results results;

    /** With the server's audit log; without it nobody knows who asked what. */
    Course(RealServer server, Optional<AuditLog> audit, Plan plan, Results results) {
        this.server = server;
        this.audit = audit;
        this.timings = plan.timings();
        this.idle = plan.idle();
        this.moveLimit = timings.leaseDuration().multipliedBy(2).plusSeconds(5);
        this.results = results;
    }

    /** Plays it once, after the team has come to rest. */
    void play(Scenario scenario, Team team) throws ApiException {
        String leader = team.awaitCalm(scenario == Scenario.IDLE ? SETTLED : WARM);
        measureGets(team);
        long before = team.witness().now();
        switch (scenario) {
            case HANDOVER -> handOver(team, leader);
            case DELETION -> delete(team, leader);
            case GONE -> vanish(team, leader);
            case CRASH -> crash(team, leader);
            case FREEZE -> freeze(team, leader);
            case HEALING -> heal(team, leader);
            case ROLLOUT -> rollOut(team, leader);
            case STARTUP -> startOneMore(team);
            case IDLE -> idle(team, leader);
            case OUTAGE -> breakServer(team, leader);
        }
        team.awaitSettled();
        team.witness().catchUp();
        results.noteTwoLeaders(team.candidate(), scenario, team.witness().revisionsWithTwoLeaders(before));
    }

    // --- The leader goes -----------------------------------------------------------------------------------------------

    private void handOver(Team team, String leader) {
        Team.Mark mark = team.mark();
        team.term(leader);
        noteMove(team, Scenario.HANDOVER, mark, leader);
        team.awaitEnd(leader);
        team.startSidecar(leader);
        noteLeaders(team, Scenario.HANDOVER, mark);
    }

    private void delete(Team team, String leader) {
        team.group().hold(leader);
        Team.Mark mark = team.mark();
        team.group().deletePod(leader);
        team.awaitMove(mark, leader, DRAIN);
        team.term(leader);
        noteMove(team, Scenario.DELETION, mark, leader);
        team.awaitEnd(leader);
        team.remove(leader);
        team.replace(leader);
        noteLeaders(team, Scenario.DELETION, mark);
    }

    private void vanish(Team team, String leader) {
        Team.Mark crash = team.mark();
        team.kill(leader);
        Team.Mark mark = team.mark();
        team.group().deletePod(leader);
        noteMove(team, Scenario.GONE, mark, leader);
        team.replace(leader);
        noteLeaders(team, Scenario.GONE, crash);
    }

    private void crash(Team team, String leader) {
        Team.Mark mark = team.mark();
        team.kill(leader);
        team.witness().catchUp();
        long expiry = team.witness().lease().orElseThrow().at() + timings.leaseDuration().toNanos();
        OptionalLong labelled = noteMove(team, Scenario.CRASH, mark, leader);
        note(team, Scenario.CRASH, "of that, after the lease has expired", expiry, labelled, moveLimit);
        team.startSidecar(leader);
        noteLeaders(team, Scenario.CRASH, mark);
    }

    private void freeze(Team team, String leader) {
        Team.Mark mark = team.mark();
        team.freeze(leader);
        noteMove(team, Scenario.FREEZE, mark, leader);
        Wait.until("the lease is over", moveLimit, () -> System.nanoTime() - mark.at() > timings.leaseDuration().toNanos());
        Team.Mark thaw = team.mark();
        team.thaw(leader);
        team.awaitSettled();
        long last = team.witness().movesSince(mark.version()).stream().mapToLong(Witness.Move::at).max().orElse(0);
        note(team, Scenario.FREEZE, "from SIGCONT until just one is labelled", Math.max(0, last - thaw.at()));
        noteLeaders(team, Scenario.FREEZE, mark);
    }

    /** How long until another pod is labelled; what does not come within the limit is noted as that. */
    private OptionalLong noteMove(Team team, Scenario scenario, Team.Mark mark, String from) {
        OptionalLong labelled = team.awaitMove(mark, from, moveLimit);
        note(team, scenario, NEXT_LABELLED, mark.at(), labelled, moveLimit);
        return labelled;
    }

    /** What the users of the leader see from the mark until the team has settled again. */
    private void noteLeaders(Team team, Scenario scenario, Team.Mark mark) {
        team.awaitSettled();
        long now = System.nanoTime();
        Timeline timeline = team.timeline();
        note(team, scenario, "no pod with a live sidecar labelled", timeline.withoutLiveLeader(mark.at(), now));
        note(team, scenario, "more than one pod labelled", timeline.withTwoLeaders(mark.at(), now));
    }

    // --- Others change what sidecars have written ----------------------------------------------------------------------

    private void heal(Team team, String leader) {
        Witness.Keys keys = team.group().keys();
        heal(team, "the leader's label was set to false", leader, keys.leadership(), "false", "true");
        heal(team, "a follower's label was set to true", team.group().otherThan(leader), keys.leadership(), "true", "false");
        heal(team, "the leader's participation label was removed", leader, keys.participation(), null, "true");
    }

    /** How long until a sidecar has undone it; what none does within a lease-duration is undone here. */
    private void heal(Team team, String what, String pod, String key, String wrong, String right) {
        boolean leadership = key.equals(team.group().keys().leadership());
        long since = System.nanoTime();
        long version = team.group().editLabel(pod, key, wrong);
        OptionalLong healed = Team.awaited(timings.leaseDuration(), () -> team.witness().writesSince(version).stream()
                .filter(write -> write.name().equals(pod) && right.equals(leadership ? write.leadership() : write.participation()))
                .mapToLong(Witness.PodRevision::at).findFirst());
        note(team, Scenario.HEALING, what, since, healed, timings.leaseDuration());
        if (healed.isEmpty()) {
            team.group().editLabel(pod, key, right);
        }
    }

    // --- Pods come and go ----------------------------------------------------------------------------------------------

    /** As a Deployment does it with maxSurge 1 and maxUnavailable 0: an old pod goes as soon as a new one is Ready. */
    private void rollOut(Team team, String leader) {
        List<String> old = new ArrayList<>(List.of(leader));
        team.pods().stream().filter(pod -> !pod.equals(leader)).forEach(old::add);
        Team.Mark mark = team.mark();
        for (String pod : old) {
            addReady(team);
            retire(team, pod);
        }
        noteChanges(team, Scenario.ROLLOUT, mark, leader);
        noteLeaders(team, Scenario.ROLLOUT, mark);
    }

    /** A new pod that is Ready; no kubelet has one Ready within the second of its creation, and the server tells ages in whole seconds. */
    private void addReady(Team team) {
        long second = Instant.now().getEpochSecond();
        String pod = team.addPod();
        team.startSidecar(pod);
        team.awaitLabel(pod);
        Wait.until("the second after " + pod + " was made", SETTLED, () -> Instant.now().getEpochSecond() > second + 1);
    }

    private void startOneMore(Team team) {
        String pod = team.addPod();
        long since = team.startSidecar(pod);
        note(team, Scenario.STARTUP, "until its pod has a label", team.awaitLabel(pod) - since);
        Wait.until("the sidecar has settled", SETTLED.multipliedBy(2), () -> System.nanoTime() - since > SETTLED.toNanos());
        noteMemory(team, Scenario.STARTUP, "", List.of(pod));
        retire(team, pod);
    }

    /** Deletes a pod; its kubelet sends SIGTERM at once, and removes the pod when the sidecar has ended. */
    private void retire(Team team, String pod) {
        team.group().hold(pod);
        team.group().deletePod(pod);
        team.term(pod);
        team.awaitEnd(pod);
        team.remove(pod);
    }

    // --- Nothing happens -----------------------------------------------------------------------------------------------

    private void idle(Team team, String leader) {
        List<String> followers = team.pods().stream().filter(pod -> !pod.equals(leader)).toList();
        Map<String, Duration> cpu = new HashMap<>();
        team.pods().forEach(pod -> cpu.put(pod, team.cpuTime(pod)));
        Instant begin = Instant.now();
        Wait.until("nothing has happened for " + idle, idle.multipliedBy(2), () -> Instant.now().isAfter(begin.plus(idle)));
        Instant end = Instant.now();
        cpu.replaceAll((pod, before) -> team.cpuTime(pod).minus(before));
        double minutes = Duration.between(begin, end).toNanos() / 60e9;
        audit.ifPresent(log -> {
            Map<String, Long> requests = team.requests(log, begin, end);
            note(team, Scenario.IDLE, "API requests per minute, leader", Figure.Unit.COUNT, requests.get(leader) / minutes);
            note(team, Scenario.IDLE, "API requests per minute, a follower", Figure.Unit.COUNT,
                    average(followers, pod -> requests.get(pod) / minutes));
        });
        note(team, Scenario.IDLE, "CPU time per minute, leader", Figure.Unit.CPU_SECONDS, cpu.get(leader).toNanos() / 1e9 / minutes);
        note(team, Scenario.IDLE, "CPU time per minute, a follower", Figure.Unit.CPU_SECONDS,
                average(followers, pod -> cpu.get(pod).toNanos() / 1e9 / minutes));
        noteMemory(team, Scenario.IDLE, ", leader", List.of(leader));
        noteMemory(team, Scenario.IDLE, ", a follower", followers);
    }

    private void noteMemory(Team team, Scenario scenario, String who, List<String> pods) {
        if (Memory.isKnown()) {
            note(team, scenario, "resident memory" + who, Figure.Unit.MIB, average(pods, pod -> team.memory(pod).resident()));
            note(team, scenario, "anonymous memory" + who, Figure.Unit.MIB, average(pods, pod -> team.memory(pod).anonymous()));
        }
    }

    private static double average(List<String> pods, ToDoubleFunction<String> value) {
        return pods.stream().mapToDouble(value).average().orElse(Double.NaN);
    }

    // --- The API server fails ------------------------------------------------------------------------------------------

    /** Afterwards as long as a lease, in which those would lead who think that the leader is dead. */
    private void breakServer(Team team, String leader) {
        Team.Mark mark = team.mark();
        server.pauseServer();
        try {
            Wait.until("the outage is over", moveLimit, () -> System.nanoTime() - mark.at() > timings.leaseDuration().toNanos() / 3);
        } finally {
            server.resumeServer();
        }
        long end = System.nanoTime() + timings.leaseDuration().toNanos();
        Wait.until("the lease is over", moveLimit, () -> System.nanoTime() > end);
        noteChanges(team, Scenario.OUTAGE, mark, leader);
        noteLeaders(team, Scenario.OUTAGE, mark);
    }

    // --- The rest ------------------------------------------------------------------------------------------------------

    /** How often another pod than before was labelled. */
    private void noteChanges(Team team, Scenario scenario, Team.Mark mark, String leader) {
        team.awaitSettled();
        int changes = 0;
        String labelled = leader;
        for (Witness.Move move : team.witness().movesSince(mark.version())) {
            changes += move.on() && !move.pod().equals(labelled) ? 1 : 0;
            labelled = move.on() ? move.pod() : labelled;
        }
        note(team, scenario, "changes of leader", Figure.Unit.COUNT, changes);
    }

    /** A time that ends when something was seen, if it was within the limit. */
    private void note(Team team, Scenario scenario, String name, long since, OptionalLong until, Duration limit) {
        results.note(team.candidate(), new Figure(scenario, name, Figure.Unit.SECONDS, limit.toNanos() / 1e9),
                until.isPresent() ? (until.getAsLong() - since) / 1e9 : Double.POSITIVE_INFINITY);
    }

    private void note(Team team, Scenario scenario, String name, long nanos) {
        note(team, scenario, name, Figure.Unit.SECONDS, nanos / 1e9);
    }

    private void note(Team team, Scenario scenario, String name, Figure.Unit unit, double value) {
        results.note(team.candidate(), new Figure(scenario, name, unit, Double.POSITIVE_INFINITY), value);
    }

    /** The yardstick: how long this machine and this server take for the smallest of requests. */
    private void measureGets(Team team) throws ApiException {
        CoordinationV1Api leases = new CoordinationV1Api(server.client());
        for (int i = 0; i < GETS + 5; i++) {
            long since = System.nanoTime();
            leases.readNamespacedLease(Team.ELECTION, team.group().namespace()).execute();
            if (i >= 5) { // the first ones open the connection
                results.noteGet((System.nanoTime() - since) / 1e9);
            }
        }
    }
}
