"""Texts to send: ordinary words in random order, the same for every server, and new in every repetition of every run."""

from __future__ import annotations

import random

__all__ = ["Texts"]

_ENGLISH = """
about above across after again against almost along already also always among and another answer any are around ask away
back bad because become been before begin behind being below best better between big black blue body book both boy bring
brother build business but call came can car care carry case cat certain change child children city clear close cold
come common complete could country course cover cross cut dark daughter day decide deep did different do dog done door
down draw drive dry during each early earth east easy eat end enough even evening ever every example eye face fact
family far farm fast father feel feet few field final find fine fire first fish five flower fly follow food foot for
force form found four free friend from front full game garden gave general get girl give go gold good great green ground
group grow half hand happen hard has have head hear heart heavy held help her here high hill him his hold home horse hot
hour house how hundred idea if in inch interest into island just keep kind king knew know land language large last late
later laugh law lay lead learn leave left less let letter life light like line list listen little live long look lot
love low made make man many map mark matter may mean measure men might mile mind minute money month moon more morning
most mother mountain move much music must name near need never new next night north note nothing notice now number
object of off often old on once one only open or order other our out over own page paper part pass people perhaps person
picture piece place plain plan plant play point poor possible power present problem product pull put question quick
quiet rain ran reach read ready real red rest right river road rock room round rule run said same saw say school sea
second see seem sentence set several shape she ship short should show side simple since sing sister sit six size sleep
slow small snow so some song soon sound south space speak special stand star start state stay step still stood stop
story street strong study such summer sun sure system table take talk teach tell ten test than that the their them then
there these they thing think this those though thought thousand three through time together too took top toward town
travel tree true try turn two under unit until up use usual very voice vowel walk wall want war warm was watch water way
we week well went were west what wheel when where which while white who whole why will wind winter with wonder wood word
work world would write year yes yet you young your
"""
_WORDS = _ENGLISH.split()


class Texts:
    """`n` words are about `n` tokens."""

    def __init__(self, seed: str) -> None:
        self._seed = seed

    def words(self, n: int, *key: object) -> str:
        """A text of `n` words; another `key`, another text from its first word on."""
        return " ".join(random.Random(f"{self._seed}/{key}").choices(_WORDS, k=n))
