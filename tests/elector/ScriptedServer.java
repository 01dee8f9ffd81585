import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;

/** The API server of a {@link ScriptedWorld}: a {@link Store} and what electors and others ask of it. It can be restored from a backup. */
final class ScriptedServer {

    private static final Resource LEASES = Resource.LEASES;
    private static final Resource PODS = Resource.PODS;
    private static final String NAMESPACE = Script.NAMESPACE;
    private static final Config ANY = TestConfig.config().build();
    private static final StoreCodec CODEC = new StoreCodec(ANY);
    private static final Store.Selection LEASE = Store.Selection.all(LEASES, NAMESPACE).named(Script.ELECTION);

    private final ScriptedWorld world;
    private final RawInvariants invariants;
    private final ScriptedWorld.Holds holds = new ScriptedWorld.Holds();
    private final Map<String, Pod> pods = new HashMap<>();
    private final Store store;
    private final StoreClient client;
    private Lease lease;
    private int uids;
    private int history;
    private Store.Backup backup;
    private ScriptedProcess sender;

    ScriptedServer(ScriptedWorld world, RawInvariants invariants) {
        this.world = world;
        this.invariants = invariants;
        store = new Store(world::wallClock, () -> new UUID((long) ++uids << 32 | 0x4000L, Long.MIN_VALUE).toString(), 1);
        store.onRevision(this::revised);
        client = new StoreClient(store, ANY, tree -> pods.get(Json.text(tree, "metadata", "name")));
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

    /** How often etcd was restored. */
    int history() {
        return history;
    }

    /** Executes an elector's request now; its sender knew of so many restorations. */
    Reply execute(ScriptedProcess from, Effect.Request request, int knownHistory) {
        world.step();
        sender = from;
        Reply reply = client.execute(request);
        sender = null;
        if (knownHistory != history && (reply instanceof Reply.LeaseReply || reply instanceof Reply.PodReply)) {
            invariants.outdated(request);
        }
        if (world.isLogging()) {
            world.log("server", from + " " + Simulation.show(request) + " = " + Simulation.show(reply));
        }
        holds.step(world);
        return reply;
    }

    // --- Watches -----------------------------------------------------------------------------------------------------

    /** What a watch of the Lease begins with. */
    Event leaseNow() {
        return lease == null ? new Event.LeaseDeleted(Long.toString(store.resourceVersion())) : new Event.LeaseUpdated(lease);
    }

    /** What a watch of the group begins with. */
    Event groupNow() {
        Reply.PodListReply all = client.list();
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
        revision.seenBy(ofLease ? LEASE : client.group())
                .ifPresent(seen -> world.push(event(seen.type() == Store.EventType.DELETED, revision, ofLease), ofLease));
    }

    private Event event(boolean left, Store.Revision revision, boolean ofLease) {
        String version = Long.toString(revision.resourceVersion());
        if (ofLease) {
            return left ? new Event.LeaseDeleted(version) : new Event.LeaseUpdated(lease);
        }
        return left ? new Event.PodRemoved(revision.name(), version) : new Event.PodUpdated(pods.get(revision.name()));
    }

    // --- What others do ----------------------------------------------------------------------------------------------

    /** Creates a pod that is Ready on a node; returns its uid. */
    String createPod(String name) {
        Map<String, Object> meta = Map.of("name", name, "labels", Map.of("app", "web"), "annotations", Map.of("note", "keep"));
        Store.Result result = store.create(PODS, NAMESPACE, Map.of("metadata", meta, "spec", Map.of("nodeName", "node")));
        setReady(name, true);
        return Json.text(((Store.Created) result).object(), "metadata", "uid");
    }

    void setReady(String name, boolean ready) {
        Map<String, Object> condition = Map.of("type", "Ready", "status", ready ? "True" : "False");
        Map<String, Object> status = Map.of("phase", "Running", "conditions", List.of(condition));
        store.patchStatus(PODS, NAMESPACE, name, Map.of("status", status));
        holds.step(world);
    }

    /** Graceful deletion, or removal if {@code graceSeconds} is 0. */
    void deletePod(String name, long graceSeconds) {
        store.delete(PODS, NAMESPACE, name, new Store.Deletion(graceSeconds, null, null));
        holds.step(world);
    }

    void createLease() {
        store.create(LEASES, NAMESPACE, Map.of("metadata", Map.of("name", Script.ELECTION), "spec", Map.of()));
        holds.step(world);
    }

    void deleteLease() {
        store.delete(LEASES, NAMESPACE, Script.ELECTION, Store.Deletion.DEFAULT);
        holds.step(world);
    }

    /** What {@link #restore} goes back to. */
    void backUp() {
        backup = store.backup();
    }

    /** The API server and etcd stop, etcd's data is replaced by the backup, both start again. */
    void restore() {
        store.restore(backup);
        history++;
        pods.clear();
        podTrees().forEach(tree -> pods.put(Json.text(tree, "metadata", "name"), CODEC.pod(tree)));
        lease = leaseTree() == null ? null : CODEC.lease(leaseTree());
        invariants.restored(podTrees());
    }
}
