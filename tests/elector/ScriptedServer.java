import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.UUID;
import java.util.function.Function;

/** The API server of a {@link ScriptedWorld}: a {@link Store} and what electors and others ask of it. It can be restored from a backup. */
final class ScriptedServer {

    private static final Resource LEASES = Resource.LEASES;
    private static final Resource PODS = Resource.PODS;
    private static final String NAMESPACE = Script.NAMESPACE;
    private static final StoreCodec CODEC = new StoreCodec(TestConfig.config().build());
    private static final Store.Selection LEASE = Store.Selection.all(LEASES, NAMESPACE).named(Script.ELECTION);
    private static final Store.Selection GROUP = Store.Selection.all(PODS, NAMESPACE)
            .labelled(labels -> labels.containsKey(RawInvariants.LEADERSHIP));

    /** A write as it was executed, so that the past can be played again. */
    private record Write(Instant time, Function<Store, Store.Result> request) {}

    private final ScriptedWorld world;
    private final RawInvariants invariants;
    private final ScriptedWorld.Holds holds = new ScriptedWorld.Holds();
    private final List<Write> journal = new ArrayList<>();
    private final Map<String, Pod> pods = new TreeMap<>();
    private Store store;
    private Lease lease;
    private Instant replayed;
    private int uids;
    private int backedUp;
    private ScriptedProcess sender;

    ScriptedServer(ScriptedWorld world, RawInvariants invariants) {
        this.world = world;
        this.invariants = invariants;
        store = newStore();
        store.onRevision(this::revised);
    }

    private Store newStore() {
        return new Store(() -> replayed != null ? replayed : world.wallClock(), () -> new UUID(0x4000L | (long) ++uids << 32, -uids)
                .toString(), 1);
    }

    ScriptedWorld.Holds holds() {
        return holds;
    }

    /** The stored pods' trees. */
    List<Map<String, Object>> podTrees() {
        return store.list(Store.Selection.all(PODS, NAMESPACE)).items();
    }

    /** The stored Lease's tree; null if it does not exist. */
    Map<String, Object> leaseTree() {
        return store.get(LEASES, NAMESPACE, Script.ELECTION) instanceof Store.Ok ok ? ok.object() : null;
    }

    // --- What electors ask -------------------------------------------------------------------------------------------

    Reply execute(ScriptedProcess from, Effect.Request request) {
        world.step();
        sender = from;
        Reply reply = switch (request) {
            case Effect.GetLease get -> leaseReply(store.get(LEASES, NAMESPACE, Script.ELECTION));
            case Effect.CreateLease create -> leaseReply(write(s -> s.create(LEASES, NAMESPACE, CODEC.unheldBody())));
            case Effect.PutLease put -> leaseReply(write(s -> s.replace(LEASES, NAMESPACE, Script.ELECTION, CODEC.putBody(put.lease()))));
            case Effect.ListPods list -> listed();
            case Effect.GetPod get -> podReply(store.get(PODS, NAMESPACE, get.name()));
            case Effect.PatchPod patch -> podReply(write(s -> s.patch(PODS, NAMESPACE, patch.name(), CODEC.patchBody(patch))));
        };
        sender = null;
        if (world.isLogging()) {
            world.log("server", from + " " + Simulation.show(request) + " = " + Simulation.show(reply));
        }
        holds.step(world);
        return reply;
    }

    private Store.Result write(Function<Store, Store.Result> request) {
        if (world.script().name().startsWith(Script.ETCD_RESTORED)) {
            journal.add(new Write(world.wallClock(), request));
        }
        return request.apply(store);
    }

    private Reply leaseReply(Store.Result result) {
        return switch (result) {
            case Store.Ok ok -> new Reply.LeaseReply(lease, false);
            case Store.Created created -> new Reply.LeaseReply(lease, true);
            case Store.Failed failed -> refusal(failed);
        };
    }

    private Reply podReply(Store.Result result) {
        return switch (result) {
            case Store.Failed failed -> refusal(failed);
            case Store.Ok ok -> new Reply.PodReply(pods.get(Json.text(ok.object(), "metadata", "name")));
            case Store.Created created -> throw new IllegalStateException("nobody creates a pod by GET or PATCH");
        };
    }

    private static Reply refusal(Store.Failed failed) {
        return switch (failed.status()) {
            case 404 -> new Reply.NotFound();
            case 409 -> new Reply.Conflict();
            default -> new Reply.Failed(failed.status() + " " + failed.message(), 0);
        };
    }

    private Reply.PodListReply listed() {
        return new Reply.PodListReply(pods.values().stream().filter(pod -> pod.leadership() != null).toList(), version());
    }

    private String version() {
        return Long.toString(store.resourceVersion());
    }

    // --- Watches -----------------------------------------------------------------------------------------------------

    /** What a watch of the Lease begins with. */
    Event leaseNow() {
        return lease == null ? new Event.LeaseDeleted(version()) : new Event.LeaseUpdated(lease);
    }

    /** What a watch of the group begins with. */
    Event groupNow() {
        Reply.PodListReply all = listed();
        return new Event.PodsListed(all.pods(), all.version());
    }

    private void revised(Store.Revision revision) {
        boolean ofLease = revision.resource() == LEASES;
        if (ofLease) {
            lease = revision.after() == null ? null : CODEC.lease(revision.after());
            invariants.leaseRevised(sender, revision);
        } else {
            pods.compute(revision.name(), (name, before) -> revision.after() == null ? null : CODEC.pod(revision.after()));
            invariants.podRevised(sender, revision);
        }
        Store.WatchEvent seen = revision.seenBy(ofLease ? LEASE : GROUP).orElse(null);
        if (seen != null) {
            Event event = event(seen.type() == Store.EventType.DELETED, revision, ofLease);
            world.push(event, ofLease);
        }
    }

    private Event event(boolean left, Store.Revision revision, boolean ofLease) {
        String version = Long.toString(revision.resourceVersion());
        if (ofLease) {
            return left ? new Event.LeaseDeleted(version) : new Event.LeaseUpdated(lease);
        }
        return left ? new Event.PodRemoved(revision.name(), version) : new Event.PodUpdated(pods.get(revision.name()));
    }

    // --- What others do ----------------------------------------------------------------------------------------------

    private Store.Result byOthers(Function<Store, Store.Result> request) {
        Store.Result result = write(request);
        holds.step(world);
        return result;
    }

    /** Creates a pod that is Ready on a node; returns its uid. */
    String createPod(String name) {
        Map<String, Object> meta = Map.of("name", name, "labels", Map.of("app", "web"), "annotations", Map.of("note", "keep"));
        Store.Result result = byOthers(s -> s.create(PODS, NAMESPACE, Map.of("metadata", meta, "spec", Map.of("nodeName", "node"))));
        setReady(name, true);
        return Json.text(((Store.Created) result).object(), "metadata", "uid");
    }

    void setReady(String name, boolean ready) {
        Map<String, Object> condition = Map.of("type", "Ready", "status", ready ? "True" : "False");
        byOthers(s -> s.patchStatus(PODS, NAMESPACE, name, Map.of("status", Map.of("phase", "Running", "conditions", List.of(condition)))));
    }

    /** Graceful deletion, or removal if {@code graceSeconds} is 0. */
    void deletePod(String name, long graceSeconds) {
        byOthers(s -> s.delete(PODS, NAMESPACE, name, new Store.Deletion(graceSeconds, null, null)));
    }

    void createLease() {
        byOthers(s -> s.create(LEASES, NAMESPACE, Map.of("metadata", Map.of("name", Script.ELECTION), "spec", Map.of())));
    }

    void deleteLease() {
        byOthers(s -> s.delete(LEASES, NAMESPACE, Script.ELECTION, Store.Deletion.DEFAULT));
    }

    /** What {@link #restore} goes back to. */
    void backUp() {
        backedUp = journal.size();
    }

    /** The API server and etcd stop, etcd's data is replaced by the backup, both start again. Versions are given anew, uids are not. */
    void restore() {
        int used = uids;
        uids = 0;
        store = newStore();
        for (Write write : journal.subList(0, backedUp)) {
            replayed = write.time;
            write.request.apply(store);
        }
        replayed = null;
        uids = used;
        store.onRevision(this::revised);
        pods.clear();
        podTrees().forEach(tree -> pods.put(Json.text(tree, "metadata", "name"), CODEC.pod(tree)));
        lease = leaseTree() == null ? null : CODEC.lease(leaseTree());
        invariants.restored(podTrees());
    }
}
