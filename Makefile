# The two commands of the README; xtask does the work.
.PHONY: demo test dist clean

demo:
	@cargo xtask demo

test:
	@cargo xtask test

dist:
	@cargo xtask dist

clean:
	@cargo clean && rm -rf dist
