# The sidecar's image: the exported jar on a Java runtime of just the needed modules, with an AOT cache that was trained by an election.
#
#   docker build -t leader-labeler:1 .
#
# An image with a native executable in place of the JVM: docker build --target native -t leader-labeler:1-native .
#
# Without network, from an export made outside (the cluster tests build it so):
#
#   ./jbang export portable -O build/export/leader-labeler.jar LeaderLabeler.java
#   ./jbang export portable -O build/export/trainer/trainer.jar tests/image/Train.java
#   docker build -t leader-labeler:1 --build-arg EXPORT=ready .
#
# It needs BuildKit, which skips the stage that was not chosen. Nothing in it depends on the processor.

ARG EXPORT=build
ARG JDK_IMAGE=eclipse-temurin:25-jdk
# Has GraalVM, for --target native only.
ARG NATIVE_IMAGE=ghcr.io/graalvm/native-image-community:25
# Has glibc, which the JVM needs, and no shell.
ARG BASE_IMAGE=gcr.io/distroless/base-nossl-debian12:nonroot

# ----------------------------------------------------------------------------------------------------------------------
# The export: the program's jar with its libraries, and the trainer's

FROM ${JDK_IMAGE} AS export-build
WORKDIR /src
COPY jbang LeaderLabeler.java ./
COPY tests/support tests/support
COPY tests/image tests/image
RUN ./jbang export portable -O /export/leader-labeler.jar LeaderLabeler.java \
 && ./jbang export portable -O /export/trainer/trainer.jar tests/image/Train.java

FROM ${JDK_IMAGE} AS export-ready
COPY build/export /export

FROM export-${EXPORT} AS export
COPY tests/supply-chain/dependencies.sha256 tests/image/unused-jars.txt tests/image/needed-classes.txt tests/image/LeanJson.java \
     /checked/
# Only jars whose content was checked in, wherever they were fetched from; then away with those of which no election loads a class.
RUN cd /export \
 && for jar in lib/*.jar trainer/lib/*.jar; do \
        (cd "${jar%/*}" && grep "  ${jar##*/}\$" /checked/dependencies.sha256 | sha256sum --check --strict --quiet) \
        || { echo "$jar is not the one in dependencies.sha256" >&2; exit 1; }; \
    done \
 && (cd lib && xargs rm -- < /checked/unused-jars.txt) \
# The API client would load 1,400 classes that nobody uses.
 && java /checked/LeanJson.java lib/client-java-api-[0-9]*.jar
# Of client-java's builders (9 MB, its models once more among them) a few are needed to write Events; of BouncyCastle (9 MB), what reads
# the keys of client certificates in a kubeconfig.
RUN for jar in /export/lib/client-java-api-fluent-*.jar /export/lib/bcprov-*.jar /export/lib/bcpkix-*.jar; do \
        mkdir /all && cd /all && jar --extract --file "$jar" \
        && find . -name '*.class' | grep -Ef /checked/needed-classes.txt | LC_ALL=C sort \
        | xargs jar --create --file "$jar" --no-manifest --date 1980-01-01T00:00:02Z \
        && cd / && rm -r /all || exit 1; \
    done
# JBang's jar carries the time at which it was made. With a fixed one, the same source gives the same jar.
RUN mkdir /unpacked && cd /unpacked && jar --extract --file /export/leader-labeler.jar && cp META-INF/MANIFEST.MF /manifest \
 && rm -r META-INF && find . -type f | LC_ALL=C sort \
 | xargs jar --create --file /export/leader-labeler.jar --manifest /manifest --date 1980-01-01T00:00:02Z

# ----------------------------------------------------------------------------------------------------------------------
# The runtime, with the flags that every JVM in it starts with. They are for a limit of 64 MiB. Flags in JAVA_TOOL_OPTIONS come after them, so
# another heap wins. Agents (-javaagent), JMX and Flight Recorder need modules that are left out: with them in JAVA_TOOL_OPTIONS the JVM does
# not start, so whatever injects them must skip this container.

FROM ${JDK_IMAGE} AS runtime
# java.sql is there for a date class that the API client's JSON names, jdk.unsupported for signals and OkHttp.
RUN jlink --output /opt/jre --add-modules java.base,java.logging,java.sql,jdk.httpserver,jdk.unsupported \
    --strip-debug --no-header-files --no-man-pages --compress zip-6 --vm server \
    --add-options=" \
    # One thread and no tables of regions: the smallest collector there is, with pauses of 1 ms at this size.
    -XX:+UseSerialGC \
    # The heap of a small group is 8 MiB, 2 of them archived in the AOT cache. It grows only as far as it must; 24 MiB are enough for
    # groups of 100 pods, or for strangers on all connections that the HTTP endpoint accepts.
    -Xms4m -Xmn2m -Xmx24m -XX:MinHeapFreeRatio=10 -XX:MaxHeapFreeRatio=20 \
    # Memory of the compiler goes back to the system; without this, one large method raised the process by 5 MiB for good.
    -XX:TrimNativeHeapInterval=60000 \
    # Object headers of 8 bytes instead of 12.
    -XX:+UseCompactObjectHeaders \
    # A sidecar that waits needs no optimizing compiler, nor any for what runs a few times at the start. Two methods of the JDK, which
    # make the classes of lambdas, take the compiler 7 and 4 MiB each.
    -XX:TieredStopAtLevel=1 -XX:CompileThresholdScaling=6 -XX:CompileCommand=quiet \
    -XX:CompileCommand=exclude,jdk.internal.classfile.impl.StackMapGenerator::processBlock \
    -XX:CompileCommand=exclude,jdk.internal.classfile.impl.StackCounter::* \
    # Room for ten times the code that there is; the default reserves three segments of 48 MiB.
    -XX:ReservedCodeCacheSize=12m -XX:-SegmentedCodeCache \
    # Platform threads are few and shallow: the elector's work runs on virtual threads, whose stacks are in the heap.
    -Xss256k \
    # Threads for two processors, on however large a node.
    -XX:ActiveProcessorCount=2 \
    # The AOT cache where it was made to be. Relocated to a random address, all of it would become private memory.
    -XX:+UnlockDiagnosticVMOptions -XX:ArchiveRelocationMode=0 \
    # Profiles of the training are for the optimizing compiler.
    -XX:-AOTRecordTraining -XX:-AOTReplayTraining \
    # Nothing is written: no /tmp/hsperfdata, no socket for debuggers; a crash report goes to the log.
    -XX:-UsePerfData -XX:+DisableAttachMechanism -XX:+ErrorFileToStderr \
    # Without memory it cannot keep its promises: end, and be started again.
    -XX:+ExitOnOutOfMemoryError \
    # OkHttp's and Guava's descendants still use Unsafe; not a word about it at each start.
    -Dsun.misc.unsafe.memory.access=allow" \
# Symbols of functions would only be for the stack of a crash.
 && strip --strip-unneeded /opt/jre/lib/*.so /opt/jre/lib/server/libjvm.so \
# Providers of modules that are not there would be searched for in every jar.
 && sed -i '/^security\.provider\./d' /opt/jre/conf/security/java.security \
 && printf 'security.provider.%s\n' 1=SUN 2=SunRsaSign 3=SunEC 4=SunJSSE 5=SunJCE >> /opt/jre/conf/security/java.security

# ----------------------------------------------------------------------------------------------------------------------
# The application and its AOT cache, which is bound to this runtime, to these jars, and to their times

FROM ${JDK_IMAGE} AS app
COPY --from=runtime /opt/jre /opt/jre
COPY --from=export /export /export
RUN mkdir /app && cp -r /export/leader-labeler.jar /export/lib /app/ && find /app -exec touch -d @0 {} + \
 && java -jar /export/trainer/trainer.jar /app/leader-labeler.aot /opt/jre/bin/java -cp /app/leader-labeler.jar LeaderLabeler \
 && touch -d @0 /app /app/leader-labeler.aot

# ----------------------------------------------------------------------------------------------------------------------
# What both images share

FROM ${BASE_IMAGE} AS base
ARG VERSION=1.0.0
ARG REVISION=
LABEL org.opencontainers.image.title="leader-labeler" \
      org.opencontainers.image.description="A sidecar that labels the leader among the pods of a Kubernetes workload" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY LICENSE tests/supply-chain/licences.md /licenses/
# Read-only root file system, no capabilities, no /tmp: nothing is missed.
USER 65532:65532
EXPOSE 4040

# ----------------------------------------------------------------------------------------------------------------------
# The native executable and its image, for --target native; the settings are in tests/image/native

FROM ${NATIVE_IMAGE} AS native-build
COPY --from=export /export /export
COPY tests/image/native /metadata
# Static but for glibc, which is all that the base image has. The training ends with an error if the executable lacks a class or a member.
RUN mkdir /app && native-image --static-nolibc -cp '/metadata:/export/leader-labeler.jar:/export/lib/*' -o /app/leader-labeler LeaderLabeler \
 && cp -r "$JAVA_HOME/legal" /app/ \
 && LEADER_LABELER_COMMAND=/app/leader-labeler java -jar /export/trainer/trainer.jar

FROM base AS native
COPY --from=native-build /app /app
# The builder's glibc may be newer than the base image's: that shows here, and not in a cluster.
RUN ["/app/leader-labeler", "--version"]
ENTRYPOINT ["/app/leader-labeler"]

# ----------------------------------------------------------------------------------------------------------------------
# The default: the image with a JVM

FROM base
COPY --from=runtime /opt/jre /opt/jre
COPY --from=app /app /app
# One arena of glibc's for all threads: each of the others would keep memory for itself.
ENV MALLOC_ARENA_MAX=1
ENTRYPOINT ["/opt/jre/bin/java", "-XX:AOTCache=/app/leader-labeler.aot", "-cp", "/app/leader-labeler.jar", "LeaderLabeler"]
