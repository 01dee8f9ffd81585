import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;

/** A program that elects by client-go's leaderelection on the same Lease: it polls, does not fence, and keeps annotations that it finds. */
final class ClientGoProgram {

    private final Simulation world;
    private final String identity;
    private Map<String, Object> observedSpec;
    private long observedAt;
    private boolean running;

    ClientGoProgram(Simulation world, String identity) {
        this.world = world;
        this.identity = identity;
    }

    /** Runs for a while, then releases or crashes; and perhaps again. */
    void start() {
        if (world.isQuiet()) {
            return;
        }
        world.log("client-go", "starts");
        running = true;
        world.coverage.count(Fault.CLIENT_GO);
        attempt();
        world.at(world.now() + world.draw.spread(world.mix.lease() / 2, 6 * world.mix.lease()), () -> end(world.draw.chance(0.5)));
    }

    /** Ends it: with a release, as on a cancelled context, or without. */
    void end(boolean releases) {
        if (!running) {
            return;
        }
        world.log("client-go", releases ? "releases" : "crashes");
        running = false;
        Map<String, Object> tree = world.server.leaseTree();
        if (releases && tree != null && identity.equals(Json.text(tree, "spec", "holderIdentity"))) {
            world.server.write(this, tree, spec("", 1, world.wallTime(), Json.object(tree, "spec")));
        }
        world.disturb(0);
        world.at(world.now() + world.draw.spread(world.mix.lease() / 4, 4 * world.mix.lease()), this::start);
    }

    private void attempt() {
        if (!running) {
            return;
        }
        Map<String, Object> tree = world.server.leaseTree();
        Map<String, Object> spec = tree == null ? null : Json.object(tree, "spec");
        if (!Objects.equals(spec, observedSpec)) {
            observedSpec = spec;
            observedAt = world.now();
        }
        if (tree == null) {
            world.server.write(this, null, spec(identity, seconds(), world.wallTime(), Map.of()));
        } else {
            acquireOrRenew(tree, spec);
        }
        world.at(world.now() + world.draw.between(world.mix.retry(), world.mix.retry() * 6 / 5), this::attempt);
    }

    private void acquireOrRenew(Map<String, Object> tree, Map<String, Object> spec) {
        String holder = spec.get("holderIdentity") instanceof String text ? text : "";
        long recorded = spec.get("leaseDurationSeconds") instanceof Long seconds ? seconds : 0;
        boolean own = holder.equals(identity);
        if (own || holder.isEmpty() || world.now() > observedAt + recorded * Simulation.SECOND) {
            String acquired = own ? Json.text(spec, "acquireTime") : world.wallTime();
            world.server.write(this, tree, spec(identity, seconds(), acquired, spec));
        }
    }

    private long seconds() {
        return world.mix.lease() / Simulation.SECOND;
    }

    private Map<String, Object> spec(String holder, long duration, String acquired, Map<String, Object> before) {
        long changes = before.get("leaseTransitions") instanceof Long count ? count : 0;
        boolean changed = !holder.isEmpty() && !holder.equals(before.get("holderIdentity"));
        Map<String, Object> spec = new LinkedHashMap<>();
        spec.put("holderIdentity", holder);
        spec.put("leaseDurationSeconds", duration);
        spec.put("acquireTime", acquired == null ? world.wallTime() : acquired);
        spec.put("renewTime", world.wallTime());
        spec.put("leaseTransitions", changed ? changes + 1 : changes);
        return spec;
    }

    /** What it calls itself in the Lease. */
    String identity() {
        return identity;
    }
}
