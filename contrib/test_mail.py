"""test_mail.py - pytest: what your program sends arrives, and can be looked at
Goes beside your tests; smtpsink (make sink) must be in PATH; edit the test at the end.
"""
import json
import smtplib
import subprocess

import pytest


@pytest.fixture
def sink(tmp_path):
    """A sink of its own for each test: sink.port, and sink.mail(), the next
    one.  It waits for nothing: who has got the 250 finds the mail here."""
    argv = ['smtpsink', '-p', '0', '--json', str(tmp_path / 'mail')]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        process.port = int(process.stdout.readline().rsplit(':', 1)[1])
        process.mail = lambda: json.loads(process.stdout.readline())
        yield process
        process.terminate()


def test_welcome(sink):
    # your program would send it
    with smtplib.SMTP('127.0.0.1', sink.port) as smtp:
        smtp.sendmail('shop@example.org', ['ann@example.org'],
                      'Subject: Welcome\r\n\r\nHello, Ann.\r\n')
    mail = sink.mail()
    assert mail['from'] == 'shop@example.org'
    assert mail['to'] == ['ann@example.org']
    assert ['Subject', 'Welcome'] in mail['header']
    with open(mail['path'], encoding='utf-8') as file:
        assert 'Hello, Ann.' in file.read()
