"""This loader's staging to S3 without figures of values: what collecting them costs."""

from functools import partial

from tests.benchmarks.workers import bucket, harness, s3_loader

if __name__ == "__main__":
    harness.main(partial(s3_loader.load, verify="counts"), bucket.count)
