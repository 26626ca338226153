"""The smallest use of `ppr codedmarl`, for tests/test_every_method.py."""

TRAIN = (
    "--engine sim --learners 4 --envs 4 --iterations 3 --set batch=16 --set hidden=8 --set warmup=50 --set rollout=10 --set replay=200 "
    "--set evaluate_episodes=2 --set evaluate_every=1"
)
WITH_MODEL = {
    "infer": "{model} --gif {out}.gif --episodes 1 --size 240",
    "evaluate": "{model} --episodes 2",
    "export": "{model} -o {out}",
}
